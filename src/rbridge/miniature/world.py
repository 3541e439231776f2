"""A small world of reasoning text with known answers: problems with a running total, and chains that work them out.

A problem is "Finn has 7 stamps, doubles, gives 5. How many stamps?"; its chain names each step and works it out.
Every text here is drawn from a ``random.Random`` and nothing else, so a seed fixes it on every machine.
"""

from __future__ import annotations

import random
import re
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Literal

MAX_TOTAL = 24  # every running total lies in 1..MAX_TOTAL, so that each number is one token for the proxies
MAX_AMOUNT = 9
NAMES = ("Finn", "Mia", "Omar", "Lena", "Ravi", "Nora", "Hugo", "Jade")
ITEMS = ("stamps", "coins", "cards", "shells", "books", "beads", "pens", "keys")
OPENERS = ("Okay.", "Let us count.", "Step by step.", "We start.")
CONNECTIVES = ("Then", "So", "Next", "Now")
ANSWER = re.compile(r" Answer: (\d+)$")

Split = Literal["train", "traces", "accuracy"]
_SPLITS: tuple[Split, ...] = ("traces", "accuracy", *("train",) * 8)


def stream(name: str) -> random.Random:
    """A stream of draws that depends on its name alone, on every machine."""
    return random.Random(name)


@dataclass(frozen=True)
class Step:
    """One change of the running total: a verb, its sign, and an amount (None doubles the total)."""

    verb: str
    sign: Literal["+", "-"]
    amount: int | None

    def operand(self, total: int) -> int:
        """The number that is added to or taken from ``total``."""
        return total if self.amount is None else self.amount

    def apply(self, total: int) -> int:
        """The running total after this step."""
        return total + self.operand(total) if self.sign == "+" else total - self.operand(total)

    @property
    def phrase(self) -> str:
        """The step as the question and the chain both word it."""
        return self.verb if self.amount is None else f"{self.verb} {self.amount}"


VERBS: tuple[tuple[str, Literal["+", "-"]], ...] = (
    ("finds", "+"),
    ("buys", "+"),
    ("gives", "-"),
    ("loses", "-"),
)
DOUBLE = Step("doubles", "+", None)


@dataclass(frozen=True)
class Problem:
    """A word problem: who has what, the first total, and two to four steps."""

    name: str
    item: str
    start: int
    steps: tuple[Step, ...]

    @property
    def question(self) -> str:
        """The question, without the marks that a document puts around it."""
        phrases = ", ".join(step.phrase for step in self.steps)
        return f"{self.name} has {self.start} {self.item}, {phrases}. How many {self.item}?"

    @property
    def prompt(self) -> str:
        """The text that stands before a chain in every document; a space and the chain follow it."""
        return f"Q: {self.question}\nA:"

    @property
    def totals(self) -> list[int]:
        """The right running totals, the first one included."""
        totals = [self.start]
        for step in self.steps:
            totals.append(step.apply(totals[-1]))
        return totals

    @property
    def answer(self) -> int:
        """The last running total."""
        return self.totals[-1]

    @property
    def split(self) -> Split:
        """Where the problem may be used, by its numbers alone: another name or verb does not make it new."""
        numbers = (self.start, *((step.sign, step.amount) for step in self.steps))
        return _SPLITS[zlib.crc32(repr(numbers).encode()) % len(_SPLITS)]


@dataclass(frozen=True)
class Chain:
    """A chain of reasoning and the answer it ends in, apart, because a trace is scored without its answer."""

    reasoning: str
    answer: int

    @property
    def text(self) -> str:
        """The chain with its answer sentence, as documents hold it."""
        return f"{self.reasoning} Answer: {self.answer}".lstrip()


def rooms(steps: tuple[Step, ...]) -> list[list[int]]:
    """For each step the totals *after* it from which the steps that follow stay within 1..MAX_TOTAL."""
    allowed = [list(range(1, MAX_TOTAL + 1))]
    for step in reversed(steps[1:]):
        allowed.append([total for total in allowed[0] if step.apply(total) in allowed[-1]])
    return allowed[::-1]


def draw_problem(rng: random.Random, *, split: Split) -> Problem:
    """A random problem of ``split`` whose totals stay in range and could at each step be wrong and stay so."""
    while True:
        problem = Problem(
            rng.choice(NAMES), rng.choice(ITEMS), rng.randint(2, MAX_TOTAL // 2), _draw_steps(rng)
        )
        in_range = all(1 <= total <= MAX_TOTAL for total in problem.totals)
        if in_range and problem.split == split and all(len(room) > 1 for room in rooms(problem.steps)):
            return problem


def _draw_steps(rng: random.Random) -> tuple[Step, ...]:
    steps = []
    for _ in range(rng.randint(2, 4)):
        verb, sign = rng.choice(VERBS)
        steps.append(DOUBLE if rng.random() < 0.2 else Step(verb, sign, rng.randint(1, MAX_AMOUNT)))
    return tuple(steps)


@cache
def held_out_problems(num_problems: int) -> tuple[Problem, ...]:
    """The problems that accuracy is measured on; fewer are the first of more."""
    rng = stream("accuracy")
    return tuple(draw_problem(rng, split="accuracy") for _ in range(num_problems))


@cache
def trace_problems(num_problems: int) -> tuple[Problem, ...]:
    """The problems that the frontier model is asked for its traces; fewer are the first of more."""
    rng = stream("traces")
    return tuple(draw_problem(rng, split="traces") for _ in range(num_problems))


def standard_chain(problem: Problem, rng: random.Random, *, error_rate: float = 0.0) -> Chain:
    """A chain in the style of the traces; each step is wrong with probability ``error_rate``.

    A wrong result is drawn evenly from the totals that keep the rest of the chain in range, and the steps
    after it go on from it, as a writer who did not notice would.
    """
    total, sentences = problem.start, [rng.choice(OPENERS)]
    for step, room in zip(problem.steps, rooms(problem.steps), strict=True):
        result = step.apply(total)
        if rng.random() < error_rate:
            result = rng.choice([value for value in room if value != result])
        sentences.append(
            f"{rng.choice(CONNECTIVES)} {step.phrase}: {total} {step.sign} {step.operand(total)} = {result}."
        )
        total = result
    return Chain(" ".join(sentences), total)


def read_answer(reply: str) -> int | None:
    """The number of the answer sentence that ends ``reply``, or None where it does not end in one."""
    found = ANSWER.search(reply)
    return int(found.group(1)) if found else None
