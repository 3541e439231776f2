"""Twins: the same problem with other numbers and a gold answer that is computed, not guessed.

A GSM8K solution marks each calculation, so that the path from the numbers of the question to the answer can be
walked again. Where a number in a calculation may have come about in more than one way (20 is a number of the
question, and also 4 times the 5 of it), a twin is made of such numbers only for which all those ways agree.
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

from rbridge.benchmarks.calculation import Step, decimals, read_steps, shown
from rbridge.benchmarks.problems import Problem
from rbridge.benchmarks.quantities import Quantity, quantities, unwritten

_DRAWS = 200


@dataclass(frozen=True)
class NoTwin:
    """A problem that has no twin, and why: the kind of reason, a colon and the particulars where there are any."""

    problem_id: str
    reason: str


# How a value comes about from those before it, by their places; a constant has a function of no value.
_Way = tuple[Callable[..., Fraction], tuple[int, ...]]


@dataclass(frozen=True)
class _Plan:
    """The path from a question's numbers to its answer.

    Values are counted through: the numbers of the question in order, then the result of each step.

    Attributes:
        numbers: all numbers of the question.
        free: places of those that may get another value.
        steps: the calculations.
        ways: for each operand of each step, all ways in which it may have come about, the plainest first.
    """

    numbers: tuple[Quantity, ...]
    free: tuple[int, ...]
    steps: tuple[Step, ...]
    ways: tuple[tuple[tuple[_Way, ...], ...], ...]


def twin(problem: Problem, rng: np.random.Generator, name: str = "twin") -> Problem | NoTwin:
    """A problem's twin: other numbers in the same words, and the answer that follows from them.

    Every result stays positive where it was, whole where it was whole and no longer in decimals; and
    all numbers and results stay in the same order by size, so that what is more, cheapest or left over stays so.

    Args:
        problem: one whose solution marks its calculations.
        rng: draws the numbers.
        name: stands behind the problem's id in the twin's, after a hyphen.

    Returns:
        The twin, or why there is none.
    """
    plan = _plan(problem)
    if isinstance(plan, str):
        return NoTwin(problem.problem_id, plan)
    old = _walk(plan, {})
    assert old is not None
    for _ in range(_DRAWS):
        drawn = _draw(plan, rng)
        new = _walk(plan, drawn)
        if new is not None and new.results[-1] != old.results[-1] and _alike(old, new):
            return _written(problem, plan, drawn, new, name)
    return NoTwin(problem.problem_id, f"no fitting numbers: {_DRAWS} draws")


def make_twins(problems: Iterable[Problem], seed: int, each: int = 1) -> tuple[list[Problem], list[NoTwin]]:
    """Twins of many problems, and which have none.

    Args:
        problems: any; a problem's twins do not depend on the others.
        seed: of the draws.
        each: twins of every problem, named ``-twin1``, ``-twin2`` and so on.
    """
    made: list[Problem] = []
    missing: list[NoTwin] = []
    for problem in problems:
        rng = np.random.default_rng([seed, zlib.crc32(problem.problem_id.encode())])
        found = [twin(problem, rng, f"twin{number}") for number in range(1, each + 1)]
        made += [one for one in found if isinstance(one, Problem)]
        missing += [one for one in found[:1] if isinstance(one, NoTwin)]
    return made, missing


def _plan(problem: Problem) -> _Plan | str:
    """The problem's path, or why it is not known."""
    steps = read_steps(problem.solution or "")
    if isinstance(steps, str):
        return steps
    if shown(steps[-1].result) != problem.answer:
        return f"the last calculation is not the answer: {shown(steps[-1].result)} against {problem.answer}"
    numbers = quantities(problem.question)
    constants = unwritten(problem.question)
    ways: list[tuple[tuple[_Way, ...], ...]] = []
    for place, step in enumerate(steps):
        results = [done.result for done in steps[:place]]
        found = [_ways(value, numbers, results, constants) for value in step.operands]
        for value, plain in zip(step.operands, found, strict=True):
            if not plain:
                return f"a number comes from nowhere: {shown(value)}"
        ways.append(tuple(found))
    used = {at for step_ways in ways for operand in step_ways for at in operand[0][1]}
    values = [number.value for number in numbers]
    # A small number may count the things that the text lists (the average of 3 tests), and one that is
    # there twice may be repeated in the calculation's shape (70 + 70 for 2 each): neither is changed.
    free = tuple(
        at
        for at, number in enumerate(numbers)
        if number.free and at in used and number.value >= len(numbers) and values.count(number.value) == 1
    )
    return _Plan(numbers, free, steps, tuple(ways)) if free else "no number of the question may be changed"


def _ways(
    value: Fraction, numbers: Sequence[Quantity], results: Sequence[Fraction], constants: frozenset[Fraction]
) -> tuple[_Way, ...]:
    """All ways in which a value may have come about; none where no plain one is among them.

    Plain: an earlier result, a number of the question or so many percent, or a constant that goes
    without saying. Not plain: two values, or a value and such a constant, added, subtracted, multiplied or divided.
    """
    values = [*(number.value for number in numbers), *results]
    plain: list[_Way] = [(_same, (at,)) for at in reversed(range(len(values))) if values[at] == value]
    plain += [(_percent, (at,)) for at, n in enumerate(numbers) if n.percent and n.value == 100 * value]
    plain += [(lambda: value, ()) for _ in range(value in constants)]
    if not plain:
        return ()
    others = [at for at, other in enumerate(values) if other != value]  # a number is not made of itself
    mixed: list[_Way] = []
    for operation in (operator.add, operator.sub, operator.mul, _over):
        for i, j in itertools.permutations(others, 2):
            if operation(values[i], values[j]) == value:
                mixed.append((operation, (i, j)))
        for at, constant in itertools.product(others, constants):
            if operation(values[at], constant) == value:
                mixed.append((partial(_with, operation, constant), (at,)))
    return (*plain, *mixed)


def _same(value: Fraction) -> Fraction:
    return value


def _percent(value: Fraction) -> Fraction:
    return value / 100


def _over(a: Fraction, b: Fraction) -> Fraction:
    return a / b if b else Fraction(0)


def _with(operation: Callable[..., Fraction], constant: Fraction, value: Fraction) -> Fraction:
    return operation(value, constant)


def _draw(plan: _Plan, rng: np.random.Generator) -> dict[int, Fraction]:
    """Other values for some of the free numbers, from all of them to a few."""
    share = rng.uniform(0.2, 1.0)
    changed = [at for at in plan.free if rng.random() < share]
    ranges = [_range(plan.numbers[at]) for at in changed]
    return {
        at: Fraction(values[int(rng.integers(len(values)))])
        for at, values in zip(changed, ranges, strict=True)
    }


def _range(number: Quantity) -> range:
    """Half to twice a number, round where it is round, within its unit's bound."""
    old = int(number.value)
    grain = next((step for step in (1000, 100, 10, 5) if old % step == 0 and old >= 2 * step), 1)
    low, high = max(2, -(-old // 2)), min(2 * old, number.most or 2 * old)
    return range(-(-low // grain) * grain, high + 1, grain)


@dataclass(frozen=True)
class _Walk:
    """The path walked with some numbers: the question's, then each step's operands and result."""

    numbers: tuple[Fraction, ...]
    operands: tuple[tuple[Fraction, ...], ...]
    results: tuple[Fraction, ...]


def _walk(plan: _Plan, drawn: Mapping[int, Fraction]) -> _Walk | None:
    """The path with these numbers; None where two ways to a number disagree, or it divides by nought."""
    values = [drawn.get(at, number.value) for at, number in enumerate(plan.numbers)]
    walked = []
    for step, step_ways in zip(plan.steps, plan.ways, strict=True):
        operands = []
        for (make, places), *others in step_ways:
            value = make(*(values[at] for at in places))
            if any(other(*(values[at] for at in where)) != value for other, where in others):
                return None
            operands.append(value)
        try:
            values.append(step.result_of(operands))
        except ZeroDivisionError:
            return None
        walked.append(tuple(operands))
    count = len(plan.numbers)
    return _Walk(tuple(values[:count]), tuple(walked), tuple(values[count:]))


def _alike(old: _Walk, new: _Walk) -> bool:
    """Whether the twin's results are of the kind of the problem's, and all values in the same order."""
    for before, after in zip(old.results, new.results, strict=True):
        places = decimals(after)
        if places is None or places > (decimals(before) or 0) or _sign(after) != _sign(before):
            return False
    both = zip((*old.numbers, *old.results), (*new.numbers, *new.results), strict=True)
    return all(_sign(a - c) == _sign(b - d) for (a, b), (c, d) in itertools.combinations(both, 2))


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)


def _written(problem: Problem, plan: _Plan, drawn: Mapping[int, Fraction], new: _Walk, name: str) -> Problem:
    """The twin's text: the new numbers in place, the recomputed marks as its solution."""
    text = problem.question
    for place in sorted(drawn, reverse=True):
        number = plan.numbers[place]
        comma = "," in text[number.start : number.end]
        text = text[: number.start] + f"{int(drawn[place]):{',' if comma else ''}}" + text[number.end :]
    answer = shown(new.results[-1])
    steps = [step.given(operands) for step, operands in zip(plan.steps, new.operands, strict=True)]
    marks = [f"<<{step.expression}={shown(step.result)}>>{shown(step.result)}" for step in steps]
    return dataclasses.replace(
        problem, problem_id=f"{problem.problem_id}-{name}", question=text, stored=text, answer=answer,
        solution="\n".join([*marks, f"#### {answer}"]), twin_of=problem.problem_id,
    )  # fmt: skip
