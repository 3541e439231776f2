"""A process that compares LaTeX: one JSON line in, one out; started by ``rbridge.grading.latex``.

It lives apart because sympy can loop for hours or fill the memory on a short expression: the caller
kills it then and starts another. math-verify's own time-out needs the main thread's alarm, so it is off.
"""

from __future__ import annotations

import json
import sys
from typing import Any

# Decimal places to which floats must agree: with math-verify's own 6, .0000672 would equal .0000673.
_DECIMALS = 12
_MEMORY = 4 << 30  # bytes of address space; importing takes half a GB of it


def main() -> None:
    """Say ``ready``, then answer lines ``{"gold", "answer"}`` until stdin ends."""
    _limit_memory()
    verdict = _comparer()
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            told = verdict(**json.loads(line))
        except Exception as error:  # noqa: BLE001 - sympy raises anything; the caller lists it as undecided
            told = {"correct": None, "reason": f"math-verify failed: {type(error).__name__}"}
        print(json.dumps(told), flush=True)


def _comparer() -> Any:
    """The function that tells; made after the heavy imports."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    config = [LatexExtractionConfig(), ExprExtractionConfig()]

    def read(text: str) -> list[Any]:
        return parse(text, extraction_config=config, parsing_timeout=0)

    def verdict(gold: str, answer: str) -> dict[str, Any]:
        wanted, given = read(gold), read(answer)
        if not wanted or not given:
            which = "answer" if wanted else "gold answer"
            return {"correct": None, "reason": f"the {which} cannot be read as mathematics"}
        same = verify(wanted, given, float_rounding=_DECIMALS, timeout_seconds=None)
        return {"correct": same, "reason": f"{given[0]} against {wanted[0]}"}

    return verdict


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows: the caller's time limit is what remains
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


if __name__ == "__main__":
    main()
