"""The numbers in a word problem's text: which may be changed, which are fixed, which go without saying."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_DIGITS = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
_WORD_VALUES = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100, "thousand": 1000,
}  # fmt: skip
_WORD = re.compile(rf"\b(?:{'|'.join(_WORD_VALUES)})\b", re.IGNORECASE)

# Numbers that a text means without writing them, by the words that bring them in.
_UNWRITTEN: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"half|twice|doubl|both|pair|couple|two|second|every other|bi-?(?:week|month)", ("2", "0.5")),
    (r"tripl|thrice|third|yard|feet|foot|tablespoon", ("3",)),
    (r"quart|fourth|quadrupl|month|week", ("4", "0.25")),
    (r"week|daily|days?\b|weekday", ("7", "5")),
    (r"dozen|months?\b|year|annual|inch|feet|foot", ("12",)),
    (r"minute|hour|second", ("60",)),
    (r"days?\b|hour", ("24",)),
    (r"months?\b|days?\b", ("30",)),
    (r"year|annual|week", ("52", "365")),
    (r"%|percent|cents?\b|\$|dollar|century|meter", ("100", "1")),
    (r"kilo|\bkg\b|\bkm\b|\bmg\b|\bml\b|liter|gram|meter", ("1000",)),
    (r"pound|ounce|\boz\b|\blbs?\b|cup|pint|gallon|quart", ("16", "2000", "8", "4", "2")),
    (r"quarter|dime|nickel|penn", ("25", "10", "5", "0.25", "0.1", "0.05")),
)  # fmt: skip


@dataclass(frozen=True)
class Quantity:
    """A number in a problem's text.

    Attributes:
        start, end: its span in the text.
        value: what it says.
        free: whether another whole number may stand there: plain digits, more than one.
        percent: whether it is so many percent.
        most: the most that makes sense there (a share in percent, days of a week), or None.
    """

    start: int
    end: int
    value: Fraction
    free: bool
    percent: bool = False
    most: int | None = None


def quantities(question: str) -> tuple[Quantity, ...]:
    """All numbers of a text in order, in digits and in words."""
    digits = [_written(question, match) for match in _DIGITS.finditer(question)]
    words = [
        Quantity(match.start(), match.end(), Fraction(_WORD_VALUES[match[0].lower()]), free=False)
        for match in _WORD.finditer(question)
    ]
    return tuple(sorted([*digits, *words], key=lambda quantity: quantity.start))


def unwritten(question: str) -> frozenset[Fraction]:
    """The numbers that a text may mean without writing them: 7 where it speaks of weeks."""
    found = (values for cue, values in _UNWRITTEN if re.search(cue, question, re.IGNORECASE))
    return frozenset(Fraction(value) for values in found for value in values)


def _written(question: str, match: re.Match[str]) -> Quantity:
    text = match[0].rstrip(",.")
    start, end = match.start(), match.start() + len(text)
    value = Fraction(text.replace(",", ""))
    # Part of a fraction, a time, a name, an ordinal, a range or a longer number is not to be changed alone.
    before, after = question[max(0, start - 2) : start], question[end : end + 3]
    joined = re.search(r"[\w/:.-]$", before.removeprefix("$")) or re.match(r"[/:]|[A-Za-z]|-\d|\.\d", after)
    plain = re.fullmatch(r"\d{1,3}(?:,\d{3})+|\d+", text) is not None and not joined
    followed = re.match(
        r"\s*(?:thousand|million|billion|dozen|hundred|[ap]\.?m\b|o'clock|/|of an?\b)", question[end:]
    )
    return Quantity(
        start, end, value, free=plain and not followed and value > 1,
        percent=re.match(r"\s*(?:%|percent)", question[end:]) is not None, most=_most(question, end, value),
    )  # fmt: skip


def _most(question: str, end: int, value: Fraction) -> int | None:
    """The bound of the unit behind a number, where the number keeps to it."""
    for unit, most in (
        (r"\s*(?:%|percent)", 100),
        (r"\s*days?\b", 7),
        (r"\s*hours?\b", 24),
        (r"\s*months?\b", 12),
    ):
        if re.match(unit, question[end:]) and value <= most:
            return most
    return None
