"""Where ``rbridge score`` finds checkpoints, and what makes one ready: this machine, vLLM, a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rbridge.scoring.checkpoints import Checkpoint
    from rbridge.scoring.settings import ScoreSettings
    from rbridge.scoring.sweep import Prepare


class Origin(NamedTuple):
    """Where checkpoints come from: how names are found, and what makes one ready, by dtype.

    ``prepare_for`` can be pickled unless a server is asked: a cluster's worker calls it with its own GPU in sight.
    """

    expand: Callable[[Sequence[str]], list[Checkpoint]]
    prepare_for: Callable[[str], Prepare]


def local_origin(settings: ScoreSettings, engine: str) -> Origin:
    """Folders, hub names, URLs and GGUF files, run by an engine."""
    from rbridge.scoring.checkpoints import expand
    from rbridge.scoring.sweep import transformers_prepare

    if engine == "vllm":
        return Origin(expand, partial(_vllm_prepare, settings.keep_downloads))
    return Origin(expand, partial(transformers_prepare, settings, gguf=engine))


def _vllm_prepare(keep_downloads: bool, dtype: str) -> Prepare:
    from rbridge.scoring import vllm_offline

    return partial(vllm_offline.prepare, dtype=dtype, keep_downloads=keep_downloads)


def served_origin(url: str, tokenizer: str) -> Origin:
    """Models of a server, and where their tokenizer is."""
    from rbridge.scoring.checkpoints import Checkpoint, expand
    from rbridge.scoring.endpoint import prepare

    (where,) = expand([tokenizer])

    def named(names: Sequence[str]) -> list[Checkpoint]:
        return [Checkpoint(name, url) for name in names]

    def prepare_for(dtype: str) -> Prepare:
        return partial(prepare, tokenizer=where, dtype=dtype)

    return Origin(named, prepare_for)
