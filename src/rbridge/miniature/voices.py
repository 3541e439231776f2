"""The same problems in further voices: right chains in other styles, written by rule and so without weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from rbridge.miniature.styles import STYLES
from rbridge.miniature.world import Problem, stream, trace_problems
from rbridge.store.bundles import Bundle, content_sha256, read_bundle, write_bundle
from rbridge.store.files import write_bytes
from rbridge.traces.exchange import read_exchange

VOICES = ("other words", "reasons behind")
_MOST_ASKED = 10  # problems for each trace that was kept


def bundle_of(traces: Path, folder: Path, *, voices: Sequence[str] = ()) -> Bundle:
    """The frontier's traces, and the same problems in further voices, as a bundle.

    Args:
        traces: exchange JSONL that the frontier model wrote.
        folder: of the bundle; one of earlier, other traces is replaced.
        voices: styles to write the problems in as well.
    """
    lines = traces.read_text(encoding="utf-8").splitlines()
    more = [line for voice in voices for line in _written(lines, voice)]
    file = folder.with_name(f"{folder.name}.jsonl")
    write_bytes(file, "".join(f"{line}\n" for line in [*lines, *more]).encode())
    read = read_exchange([file], default_voice="miniature-frontier")
    assert not read.bad, read.bad[0]  # the miniature wrote the file
    if folder.exists():
        bundle = read_bundle(folder)
        if bundle.manifest.content_sha256 == content_sha256(read.traces):
            return bundle
        shutil.rmtree(folder)
    write_bundle(folder, read.traces, name="miniature")
    return read_bundle(folder)


def _written(lines: Sequence[str], voice: str) -> Iterator[str]:
    problems = {problem.prompt: problem for problem in trace_problems(_MOST_ASKED * len(lines))}
    rng = stream(f"voice {voice}")
    for line in lines:
        known = json.loads(line)
        problem: Problem = problems[known["prompt"]]
        yield json.dumps(
            {
                **{key: known[key] for key in ("benchmark", "problem_id", "question", "prompt", "answer")},
                "voice": voice,
                "reasoning": STYLES[voice](problem, rng).reasoning,
                "correct": True,
            }
        )
