r"""LaTeX answers, compared by math-verify in worker processes that may be killed.

What math-verify does not tell apart is told apart here first: words (it reads ``\text{east}`` as a
product of letters, equal to ``\text{seat}``) and the bases of numerals (it reads ``52_8`` as 52).
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import queue
import re
import subprocess
import sys
import threading
from typing import Any

from rbridge.errors import MissingExtra
from rbridge.grading.letters import folded
from rbridge.grading.markup import last_box
from rbridge.grading.numbers import numbers_in
from rbridge.grading.verdict import Verdict

SECONDS = 20.0
_START_SECONDS = 300.0  # a cold import of sympy on a busy machine

_WORDS = re.compile(r"\\(?:text|textbf|mathrm|mbox)\s*\{([^{}]*)\}")
_WORD = re.compile(r"(?<![\\{A-Za-z])[A-Za-z]{3}")  # of no command, and no name of an environment
_MARKED = re.compile(r"(?<!\\)\$|\\\(|\\\[")
_NUMERAL = re.compile(r"\$?([0-9A-Z]+)_\{?(\d+)\}?\$?")


def require_math_verify() -> None:
    """Refuse where ``math-verify`` is not installed.

    Raises:
        MissingExtra: it is not.
    """
    if importlib.util.find_spec("math_verify") is None:
        raise MissingExtra("math-verify", "math", "checking LaTeX answers")


def check_latex(gold: str, answer: str, *, seconds: float = SECONDS) -> Verdict:
    """Whether an answer is the same mathematics as the gold one.

    Args:
        gold: LaTeX, without dollar signs.
        answer: LaTeX or plain text, in a box or not.
        seconds: a comparison that takes longer is undecided, and its process is killed.

    Raises:
        MissingExtra: ``math-verify`` is not installed.
    """
    require_math_verify()
    given = (last_box(answer) or answer).strip().removesuffix(".")
    if (verdict := _as_text(gold.strip(), given)) is not None:
        return verdict
    if doubt := _doubt(given):
        return Verdict(None, f"the answer {answer[:60]!r} {doubt}")
    told = _ask({"gold": _delimited(gold), "answer": _delimited(given)}, seconds)
    return Verdict(told["correct"], told["reason"])


def _doubt(given: str) -> str | None:
    """Why no one expression can be read from an answer, or None."""
    if re.search(r"\bor\b", given):
        return "offers more than one"
    if _WORD.search(given) and not re.search(r"[\d\\]", given):
        return "is in words"
    # Out of a sentence without marked mathematics math-verify takes the first number that it finds.
    plain = _WORDS.sub("", given)
    if _WORD.search(plain) and not _MARKED.search(plain) and len(numbers_in(plain)) > 1:
        return "has several numbers among words"
    return None


def _as_text(gold: str, given: str) -> Verdict | None:
    """The verdict on what is compared as text: the very same, words, numerals of a base; None on the rest."""
    if "".join(gold.split()) == "".join(given.strip("$").split()):
        return Verdict(correct=True, reason="the same text")
    if (words := _WORDS.fullmatch(gold)) is not None:
        return _compare_words(words[1], given)
    if (numeral := _NUMERAL.fullmatch(gold)) is not None:
        return _compare_numerals(numeral, given)
    return None


def _compare_words(gold: str, given: str) -> Verdict:
    """Words as text, an option such as ``(C)`` with or without its brackets."""
    plain = _WORDS.sub(r"\1", given).strip("$ ")
    same = folded(gold).strip("()") == folded(plain).strip("()")
    return Verdict(correct=same, reason=f"{plain[:60]!r} against {gold!r}")


def _compare_numerals(gold: re.Match[str], given: str) -> Verdict:
    r"""Digits and base; the base may be left out, since the problem names it."""
    match = re.fullmatch(r"\$?([0-9A-Z]+)(?:_\{?(\d+)\}?)?\$?", _WORDS.sub(r"\1", given))
    if match is None:
        return Verdict(None, f"the answer {given[:60]!r} cannot be read as a numeral of base {gold[2]}")
    same = match[1] == gold[1] and match[2] in (None, gold[2])
    return Verdict(correct=same, reason=f"{match[0]} against {gold[0]}")


def _delimited(text: str) -> str:
    r"""In dollar signs, unless the text has its own: ``\$36`` has none."""
    return text if _MARKED.search(text) else f"${text}$"


class _Worker:
    """One process; asked one thing at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rbridge.grading.latex_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # math-verify warns there that its own time-out is off
            text=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """Pass on what the process says, then an empty line: it has ended."""
        assert self._process.stdout is not None
        with self._process.stdout as said:
            for line in said:
                self._lines.put(line)
        self._lines.put("")

    def is_ready(self) -> bool:
        """Whether it has started; blocks until that is known."""
        with contextlib.suppress(queue.Empty):
            return self._lines.get(timeout=_START_SECONDS) == "ready\n"
        return False

    def ask(self, question: dict[str, str], seconds: float) -> str:
        """What it says to a question; empty where it died.

        Raises:
            queue.Empty: it said nothing in time.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        return self._lines.get(timeout=seconds)

    def kill(self) -> None:
        """End the process and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()


# Workers that have nothing to do; a caller takes one, or starts one, and puts it back.
_IDLE: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
# No more of them than processors: each holds sympy, and a crowd would only make comparisons late.
_SEATS = threading.BoundedSemaphore(os.cpu_count() or 1)


def _ask(question: dict[str, str], seconds: float) -> dict[str, Any]:
    with _SEATS:
        return _ask_worker(question, seconds)


def _ask_worker(question: dict[str, str], seconds: float) -> dict[str, Any]:
    worker = _take()
    if worker is None:
        return {"correct": None, "reason": "math-verify could not be started"}
    try:
        said = worker.ask(question, seconds)
    except queue.Empty:
        worker.kill()
        return {"correct": None, "reason": f"math-verify did not decide in {seconds:g} s"}
    except BaseException:  # Ctrl-C: its answer would be taken for the next question's
        worker.kill()
        raise
    if not said:
        worker.kill()
        return {"correct": None, "reason": "math-verify ran out of memory or died"}
    _IDLE.put(worker)
    return json.loads(said)


def _take() -> _Worker | None:
    with contextlib.suppress(queue.Empty):
        return _IDLE.get_nowait()
    worker = _Worker()
    if worker.is_ready():
        return worker
    worker.kill()
    return None


@atexit.register
def _end_idle_workers() -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            _IDLE.get_nowait().kill()
