"""Other numbers in a question and in the reasoning about it, where the reasoning spells out its arithmetic.

``twins`` walks the marks of a gold solution and answers for the new answer. Here the equations that stand in the
reasoning itself (``7 + 5 = 12``) are walked, so that a written trace gets a twin: the same words, other numbers,
every equation true. Its numbers keep to what the texts beside it show behind the same word, so that the twin is
text of the same kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from rbridge.benchmarks.calculation import Step, decimals, shown
from rbridge.benchmarks.quantities import quantities, unwritten

_DRAWS = 200
# From so many different numbers behind a word on, their range is taken as the word's own.
_SHOWN = 5
_NUMBER = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|(?<!\d)\.\d+"
_UNIT = r"%?(?:\s+[A-Za-z]+){0,2}"  # "5 red pens + 3 pens"
_OPERATION = r"(?:[-+*/×÷·−]|(?<=\s)x(?=\s)|\\times|\\div|\\cdot)"
_SIDE = rf"\$?(?:{_NUMBER}){_UNIT}(?:\s*{_OPERATION}\s*\$?(?:{_NUMBER}){_UNIT})*"
_EQUATION = re.compile(rf"(?<![\d.,])(?:{_SIDE})(?:\s*=\s*(?:{_SIDE}))+")
_TOKEN = re.compile(rf"(?P<number>{_NUMBER})(?P<percent>%?)|(?P<operation>{_OPERATION})")
_SIGNS = {"×": "*", "·": "*", "x": "*", r"\times": "*", r"\cdot": "*", "÷": "/", r"\div": "/", "−": "-"}
_MARKER = re.compile(r"(?:^\s*|\bstep\s+)\Z", re.IGNORECASE | re.MULTILINE)
_CODE = re.compile(r"^\s*def \w+\(", re.MULTILINE)
_PLAIN = frozenset(map(Fraction, (0, 1, 2, 10, 100)))


@dataclass(frozen=True)
class _Number:
    """A number in a text: its span, what it says, and whether another may be written there."""

    start: int
    end: int
    value: Fraction
    free: bool
    before: str


@dataclass(frozen=True)
class _Side:
    """One side of an equation: numbers (in percent or not) and signs between them."""

    step: Step
    percent: tuple[bool, ...]

    def value(self, numbers: Mapping[Fraction, Fraction]) -> Fraction:
        """What it comes to once each number is replaced."""
        found = [numbers.get(value, value) for value in self.step.operands]
        return self.step.result_of(
            [value / 100 if share else value for value, share in zip(found, self.percent, strict=True)]
        )


Range = tuple[Fraction, Fraction]


def ranges(texts: Iterable[str]) -> dict[str, Range]:
    """The least and the greatest number behind each word of some texts, where five different ones are seen."""
    seen: dict[str, set[Fraction]] = {}
    for text in texts:
        for number in _numbers(text):
            seen.setdefault(number.before, set()).add(number.value)
    return {word: (min(found), max(found)) for word, found in seen.items() if len(found) >= _SHOWN}


def renumber(
    question: str, reasoning: str, rng: np.random.Generator, within: Mapping[str, Range]
) -> tuple[str, str, Mapping[Fraction, Fraction]] | str:
    """A question and its reasoning with other numbers.

    Every whole number of the question that may change does, from half of it to twice; results follow through the
    equations, stay positive and whole where they were, and everything stays within the ranges.

    Args:
        question: as a proxy reads it.
        reasoning: with its arithmetic spelt out.
        rng: draws the numbers.
        within: ranges by the word before a number, from ``ranges``.

    Returns:
        The new question and reasoning, and the new number for each old one; or why there are none.
    """
    if _CODE.search(question):
        return "the question is code, whose examples no equation spells out"
    equations = list(_equations(reasoning))
    numbers = {"question": _numbers(question), "reasoning": _numbers(reasoning)}
    every = [*numbers["question"], *numbers["reasoning"]]
    asked = {number.value for number in numbers["question"]}
    derived = _derived(equations)
    if isinstance(derived, str):
        return derived
    words = {
        one.value
        for text in (question, reasoning)
        for one in quantities(text)
        if not text[one.start].isdigit()
    }
    known = asked | derived | unwritten(question) | words | _PLAIN
    nowhere = next((one.value for one in numbers["reasoning"] if one.value not in known), None)
    if nowhere is not None:
        return f"a number comes from nowhere: {shown(nowhere)}"
    fixed = {number.value for number in every if not number.free} | words
    free = sorted(value for value in asked - derived - fixed if value >= 2 and value.denominator == 1)
    if not free or not equations:
        return "no equation is spelt out" if free else "no number of the question may be changed"
    choices = [_choices(value, every, within) for value in free]
    for _ in range(_DRAWS if all(choices) else 0):
        new = {value: some[int(rng.integers(len(some)))] for value, some in zip(free, choices, strict=True)}
        if _follows(new, equations, derived) and _fits(new, every, fixed, within):
            return (
                _written(question, numbers["question"], new),
                _written(reasoning, numbers["reasoning"], new),
                new,
            )
    return f"no fitting numbers: {_DRAWS} draws"


def _numbers(text: str) -> list[_Number]:
    spans = [match.span() for match in _EQUATION.finditer(text)]
    found = []
    for match in re.finditer(_NUMBER, text):
        start, end = match.span()
        line, after = text[:start], text[end : end + 2]
        if _MARKER.search(line) and re.match(r"[.):]", after):
            continue  # "1." of a list
        inside = any(low <= start < high for low, high in spans)
        glued = re.search(r"[\w^{}]\Z|\d[-/:.]\Z|\.\Z", line) or re.match(r"\w|[-/:.]\d|[{}^]", after)
        value = Fraction(match[0].replace(",", ""))
        words = re.findall(r"\w+|[^\w\s]", line[-40:].removesuffix("$"))
        found.append(_Number(
            start, end, value, (inside or not glued) and value.denominator == 1, words[-1].casefold() if words else ""
        ))  # fmt: skip
    return found


def _equations(text: str) -> Iterable[tuple[_Side, ...]]:
    for match in _EQUATION.finditer(text):
        yield tuple(_side(part) for part in match[0].split("="))


def _side(text: str) -> _Side:
    tokens = list(_TOKEN.finditer(text))
    operands = tuple(Fraction(one["number"].replace(",", "")) for one in tokens if one["number"])
    shape = "".join(
        "1" if one["number"] else _SIGNS.get(one["operation"], one["operation"]) for one in tokens
    )
    return _Side(
        Step(shape, operands, Fraction(0)), tuple(bool(one["percent"]) for one in tokens if one["number"])
    )


def _derived(equations: Iterable[tuple[_Side, ...]]) -> set[Fraction] | str:
    """The numbers that an equation comes to before anything was reckoned with them, or which does not hold."""
    derived: set[Fraction] = set()
    used: set[Fraction] = set()
    for sides in equations:
        try:
            values = {side.value({}) for side in sides}
        except (ZeroDivisionError, SyntaxError, ValueError):
            return "an equation cannot be evaluated"
        if len(values) > 1:
            return f"an equation does not hold: {' = '.join(map(shown, sorted(values)))}"
        used |= {value for side in sides if len(side.percent) > 1 for value in side.step.operands}
        derived |= {side.step.operands[0] for side in sides if len(side.percent) == 1} - used
    return derived


def _follows(
    new: dict[Fraction, Fraction], equations: Iterable[tuple[_Side, ...]], derived: set[Fraction]
) -> bool:
    """Walk the equations, adding the results to ``new``; whether all of them hold."""
    for sides in equations:
        try:
            reckoned = [side.value(new) for side in sides if len(side.percent) > 1]
        except ZeroDivisionError:
            return False
        if not reckoned or len(set(reckoned)) > 1:
            return not reckoned and len({side.value(new) for side in sides}) == 1
        for side in sides:
            if len(side.percent) == 1:
                old, value = side.step.operands[0], reckoned[0] * (100 if side.percent[0] else 1)
                if new.setdefault(old, value if old in derived else old) != value:
                    return False
    return True


def _fits(
    new: Mapping[Fraction, Fraction],
    every: Sequence[_Number],
    fixed: set[Fraction],
    within: Mapping[str, Range],
) -> bool:
    for old, value in new.items():
        same_kind = (value > 0) == (old > 0) and decimals(value) == decimals(old)
        if not same_kind or (value != old and old in fixed):
            return False
    return all(_in_range(new.get(one.value, one.value), one, within) for one in every)


def _in_range(value: Fraction, number: _Number, within: Mapping[str, Range]) -> bool:
    low, high = within.get(number.before, (value, value))
    return value == number.value or low <= value <= high


def _choices(value: Fraction, every: Sequence[_Number], within: Mapping[str, Range]) -> list[Fraction]:
    """Half to twice a number, round where it is round, as far as the ranges allow."""
    old = int(value)
    grain = next((step for step in (1000, 100, 10, 5) if old % step == 0 and old >= 2 * step), 1)
    places = [one for one in every if one.value == value]
    drawn = (Fraction(one) for one in range(-(-max(2, -(-old // 2)) // grain) * grain, 2 * old + 1, grain))
    return [one for one in drawn if one != value and all(_in_range(one, at, within) for at in places)]


def _written(text: str, numbers: Sequence[_Number], new: Mapping[Fraction, Fraction]) -> str:
    for one in reversed(numbers):
        value = new.get(one.value, one.value)
        if value != one.value:
            comma = "," if "," in text[one.start : one.end] else ""
            text = f"{text[: one.start]}{int(value):{comma}}{text[one.end :]}"
    return text
