"""How often clean text is called contaminated, and how much of a planted leak is found.

    python -m bench.contamination

Clean text: this Python's standard library, none of which was written from the benchmarks. Leaks: a tenth of the starter
bundle's texts, whole, and with every twentieth word changed, each between two pieces of clean text.
"""

from __future__ import annotations

import random
import sys
import sysconfig
import time
from pathlib import Path

from rbridge.benchmarks import resolve_questions
from rbridge.errors import RBridgeError
from rbridge.quality import NgramIndex, is_contaminated, share
from rbridge.records import Trace
from rbridge.traces.named import open_bundle


def main() -> int:
    """Print the rates; 1 where clean text is called contaminated or a whole leak is missed."""
    texts = starter_texts()
    clean = [
        file.read_text(errors="replace") for file in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    ]
    started = time.process_time()
    alarms = found_in(texts, clean)
    seconds = time.process_time() - started
    chars = sum(map(len, clean))
    told = [text for text, hit in zip(texts, alarms, strict=True) if hit is not None]
    rate = share(sum(hit is True for hit in alarms), len(told))
    print(f"clean: {rate.num} of {rate.n} texts called contaminated, 95 % interval {rate.interval}")
    print(f"       {chars / 1e6:.1f}M characters at {chars / seconds / 1e6:.1f}M a CPU second")
    planted = random.Random(0).sample(told, len(told) // 10)
    whole = found_in(planted, [f"{one}\n{text}\n{one}" for text, one in zip(planted, clean, strict=False)])
    print(f"planted whole: {sum(hit is True for hit in whole)} of {len(planted)} found")
    for every in (40, 20, 10):
        changed = found_in(planted, [altered(text, every) for text in planted])
        print(
            f"planted, every {every}th word changed: {sum(hit is True for hit in changed)} of {len(planted)} found"
        )
    return int(rate.num > 0 or not all(whole))


def starter_texts() -> list[str]:
    """Reasoning of the starter bundle, and its questions where a source of them is installed."""
    traces: tuple[Trace, ...] = open_bundle("starter").traces
    try:
        traces = resolve_questions(traces).traces
    except RBridgeError as error:
        print(f"traces only: {error}")
    questions = dict.fromkeys(trace.question for trace in traces if trace.question)
    return [*questions, *(trace.reasoning for trace in traces)]


def found_in(texts: list[str], corpus: list[str]) -> list[bool | None]:
    """Whether each text is contaminated by a corpus; None of one that is too short to tell."""
    index = NgramIndex(texts)
    for document in corpus:
        index.read(document)
    return [None if one is None else is_contaminated(one) for one in index.found().share]


def altered(text: str, every: int) -> str:
    """A text with one word in so many replaced."""
    return " ".join("altered" if at % every == every // 2 else word for at, word in enumerate(text.split()))


if __name__ == "__main__":
    sys.exit(main())
