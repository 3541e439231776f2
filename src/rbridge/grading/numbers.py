"""Numbers, compared exactly: ``$1,319.00`` is 1319, ``26.0`` is 26, ``3/4`` is 0.75."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from rbridge.grading.markup import unwrap
from rbridge.grading.verdict import Verdict

# What stands before the number that an answer means, the last of them counting: "so 5 + 21 = 26".
_LEAD = re.compile(r"####|\banswer\b(?:\s+is)?\s*:?|=|≈", re.IGNORECASE)
# A run of digits with whatever may belong to it; it must then be a number as a whole. No sign where a
# digit stands before it: 2-3 is a range, not 2 and minus 3.
_RUN = r"(?:\d[\d.,]*\d|\.\d+|\d)(?:[eE][-+]?\d+)?"
_NUMBER = re.compile(
    rf"""(?<![\w.]) (?P<sign>(?<!\d)[-+])? \s* [$£€¥]? \s* (?P<sign2>[-+])?
    (?: (?P<mixed>\d+) \s+ (?=\d+\s*/\s*\d) )? (?P<top>{_RUN}) (?: \s* / \s* (?P<bottom>{_RUN}) )?""",
    re.VERBOSE,
)
# The exponent has at most three digits: an exact fraction of 1e999999999 would fill the memory.
_WELL_FORMED = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d{1,300})?(?:\.\d{1,300})?(?:[eE][-+]?\d{1,3})?")


def check_number(gold: str, answer: str) -> Verdict:
    """Whether an answer holds exactly one number, and it is the gold one.

    Units, currency signs, separators of thousands and closing punctuation count for nothing; an answer
    with several different numbers, or with none in digits, is undecided.
    """
    wanted, value = read_number(gold), read_number(answer)
    if wanted is None:
        return Verdict(None, f"the gold answer {gold[:60]!r} is not one number")
    if value is None:
        return Verdict(None, f"the answer {answer[:60]!r} is not one number")
    return Verdict(value == wanted, f"{value} against {wanted}")


def read_number(text: str) -> Fraction | None:
    """The one number that a text holds, exactly, or None where there is none or more than one.

    Example:
        >>> read_number("$1,319.50"), read_number("-3/4 of it"), read_number("2 or 3")
        (Fraction(2639, 2), Fraction(-3, 4), None)
    """
    plain = _plain(unwrap(text))
    hedged = re.search(r"\bor\b", plain)  # "x = 5 or x = 26" is two answers
    values = (not hedged and numbers_in(_LEAD.split(plain)[-1])) or numbers_in(plain)
    return values.pop() if len(values) == 1 else None


def numbers_in(text: str) -> set[Fraction | None]:
    """The different numbers of a text; None among them for what only looks like one, such as 1,3."""
    return {_value(match) for match in _NUMBER.finditer(text)}


def _value(match: re.Match[str]) -> Fraction | None:
    parts = [
        part.replace(",", "")
        for part in match.group("top", "bottom")
        if part and _WELL_FORMED.fullmatch(part)
    ]
    if len(parts) != (2 if match["bottom"] else 1):
        return None
    top, bottom = [Fraction(part) for part in [*parts, "1"][:2]]
    if bottom == 0:
        return None
    value = int(match["mixed"] or 0) + top / bottom
    return -value if "-" in (match["sign"], match["sign2"]) else value


def _plain(text: str) -> str:
    """ASCII digits, signs and slashes, fractions as ``a/b``."""
    text = "".join(_character(char) for char in text)
    return re.sub(r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}", r" \1/\2", text)


def _character(char: str) -> str:
    if unicodedata.decomposition(char).startswith("<fraction>"):  # ½ and its like
        return " " + unicodedata.normalize("NFKC", char).replace("\N{FRACTION SLASH}", "/")
    return {"\N{MINUS SIGN}": "-", "\N{FRACTION SLASH}": "/", "\N{NO-BREAK SPACE}": " "}.get(char, char)
