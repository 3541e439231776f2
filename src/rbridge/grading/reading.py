r"""Find the answer in a reply: behind the benchmark's closing words, in a box, or as its checker allows.

The rules are tried in this order, and the one that found the answer is kept beside it, so that a table can say
how many answers did not come in the form that was shown:

    closing       behind the words that end the worked examples, such as "The answer is"
    box           the last \boxed{...} (number, latex, letter)
    mark          behind the last #### (number: GSM8K's own form)
    whole reply   the reply itself, where it is one option (letter) or is code (code), as without worked examples
    last number   the last number of the reply (number)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rbridge.benchmarks import Checker, Problem, closing_words
from rbridge.grading.letters import check_letter
from rbridge.grading.markup import last_box

RULES = ("closing", "box", "mark", "whole reply", "last number")
_MARK = "####"
# A number as GSM8K and its like write it; what it is worth is the checker's business.
_NUMBER = re.compile(r"[-+]?[$£€]?\d(?:[\d,]*\d)?(?:\.\d+)?(?:\s*/\s*\d+)?")
_CODE = re.compile(r"^(?:def |```|(?: {2,}|\t)\S)", re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """An answer that was found in a reply.

    Attributes:
        text: as the checker is given it.
        rule: of ``RULES``, that found it.
    """

    text: str
    rule: str


def closing_parts(benchmark: str) -> tuple[str, str]:
    """The closing words of a benchmark before and behind the answer, such as ``The answer is `` and ``.``."""
    lead, _, tail = closing_words(benchmark).partition("{answer}")
    return lead, tail


def read_answer(problem: Problem, reply: str, checker: Checker | None, *, last: bool) -> Answer | None:
    """The answer that a reply gives, or None where it gives none.

    Args:
        problem: whose reply it is.
        reply: cut at its stop (``rbridge.benchmarks.cut_reply``).
        checker: of the problem.
        last: take the last closing words instead of the first. A base model that runs on repeats itself, so its
            first answer counts; a chat model ends by itself, and its last one does.

    Example:
        >>> problem = Problem("gsm8k", "0", "2 + 3?", "2 + 3?", "5")
        >>> read_answer(problem, " 2 + 3 = 5. The answer is 5.", "number", last=False)
        Answer(text='5', rule='closing')
    """
    closing = _behind_closing(problem.benchmark, reply, checker, last=last)
    tried = (("closing", closing), *_otherwise(problem, reply, checker))
    return next((Answer(text, rule) for rule, text in tried if text), None)


def _otherwise(problem: Problem, reply: str, checker: Checker | None) -> Iterator[tuple[str, str | None]]:
    """Rules and what each finds, for a reply without the closing words."""
    if checker in ("number", "latex", "letter"):
        yield "box", last_box(reply)
    if checker == "number":
        behind = reply.rpartition(_MARK)[2] if _MARK in reply else ""
        yield "mark", behind.strip().partition("\n")[0].strip()
        yield "last number", next(reversed(_NUMBER.findall(reply)), None)
    if checker == "letter":
        readable = check_letter(problem.answer, problem.choices, reply.strip()).correct is not None
        yield "whole reply", reply.strip() if readable else None
    if checker == "code":
        yield "whole reply", reply.strip("\n") if _CODE.search(reply) else None


def _behind_closing(benchmark: str, reply: str, checker: Checker | None, *, last: bool) -> str | None:
    lead, tail = closing_parts(benchmark)
    lead = lead.rstrip().removesuffix("$").rstrip()  # MATH's closing words hold the dollar sign of its answer
    places = [match.end() for match in re.finditer(re.escape(lead), reply, re.IGNORECASE)] if lead else []
    if not places:
        return None
    rest = reply[places[-1 if last else 0] :]
    if checker == "code":
        return rest.strip("\n") if rest.strip() else None
    text = _first_line(rest.lstrip(" \t:"))
    if checker == "number":
        text = text.partition(". ")[0]  # a sentence behind it says something else
    text = text.removesuffix(tail) if tail.strip(" .$") else text.removesuffix(".")
    return text.strip() or None


def _first_line(text: str) -> str:
    """The first line, and further ones while a formula in dollar signs or an environment is open."""
    lines = text.lstrip("\n").split("\n")
    for number in range(1, len(lines) + 1):
        taken = "\n".join(lines[:number])
        dollars = taken.count("$") - taken.count(r"\$")
        if dollars % 2 == 0 and taken.count(r"\begin{") <= taken.count(r"\end{"):
            return taken
    return lines[0]
