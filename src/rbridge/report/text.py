"""Figures and strangers' text as the page prints them: aligned, visible, inert."""

from __future__ import annotations

import math
import statistics
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NONE = "–"
# Joiners shape emoji and Persian; every other format character can only hide or reorder text.
_KEPT = frozenset("\n\t\u200c\u200d")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_DOTTED_CIRCLE = "\u25cc"


def visible(text: str) -> str:
    """The text with control, bidi, invisible and unpaired characters written out.

    What is left is legal in XML: vl-convert aborts the whole process on a NUL in a label.

    >>> visible("a\\x00b\\u202ec")
    'a␀b⟨U+202E⟩c'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_written_out(char) if _hides(char) else char for char in text)


def _hides(char: str) -> bool:
    code = ord(char)
    noncharacter = 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
    return noncharacter or (char not in _KEPT and unicodedata.category(char) in _HIDDEN)


def _written_out(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)  # the control's own picture, such as ␀
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


@dataclass(frozen=True)
class Glyph:
    """A run of a token's text that is drawn in one way.

    Attributes:
        kind: ``text``, ``space``, ``tab``, ``newline``, or ``code`` for what has no shape.
        text: what is drawn; for white space, the white space itself.
    """

    kind: str
    text: str


_WHITE = {" ": "space", "\t": "tab", "\n": "newline"}


def glyphs(text: str) -> tuple[Glyph, ...]:
    """A token's text cut where its drawing changes.

    >>> [(glyph.kind, glyph.text) for glyph in glyphs(" 14\\n")]
    [('space', ' '), ('text', '14'), ('newline', '\\n')]
    """
    runs: list[Glyph] = []
    for char in text:
        kind = _WHITE.get(char) or ("code" if _hides(char) else "text")
        if not runs and unicodedata.combining(char):
            char = _DOTTED_CIRCLE + char  # noqa: PLW2901 - a mark without a base needs one to stand on
        if runs and kind == runs[-1].kind == "text":
            runs[-1] = Glyph(kind, runs[-1].text + char)
        else:
            runs.append(Glyph(kind, char))
    return tuple(runs)


def fixed(value: float | None, digits: int) -> str:
    """A figure with so many decimals; a dash where there is none.

    >>> fixed(-0.0349, 2), fixed(None, 2), fixed(-0.001, 2)
    ('−0.03', '–', '0.00')
    """
    if value is None:
        return NONE
    if not math.isfinite(value):
        raise ValueError(f"{value} must not reach the page: a missing figure is None, with a reason")
    text = f"{abs(value):.{digits}f}"
    negative = value < 0 and float(text) != 0
    return f"−{text}" if negative else text


def signed(value: float | None, digits: int) -> str:
    """A difference: as ``fixed``, with a plus where it is above zero."""
    text = fixed(value, digits)
    return f"+{text}" if value is not None and float(f"{value:.{digits}f}") > 0 else text


def bracket(interval: tuple[float, float] | None, digits: int) -> str:
    """An interval that no line breaks; a dash where there is none.

    >>> bracket((0.25, 0.5), 2)
    '[0.25,\xa00.50]'
    """
    return NONE if interval is None else f"[{fixed(interval[0], digits)},\u00a0{fixed(interval[1], digits)}]"


def percent(share: float) -> str:
    """A share as a percentage, with the narrow space that keeps them together.

    >>> percent(0.95)
    '95\u202f%'
    """
    return f"{100 * share:.10g}\u202f%"


def scientific(value: float) -> str:
    """A small figure's order of magnitude.

    >>> scientific(1.43e-05)
    '1.4e−05'
    """
    return f"{value:.1e}".replace("-", "−")


def p_text(value: float | None) -> str:
    """A p value; never a bare zero."""
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else fixed(value, 3)


def grouped(number: int) -> str:
    """A count with its thousands apart."""
    return f"{number:,}".replace(",", "\u202f")


def plural(number: int, noun: str) -> str:
    """A count and its noun.

    >>> plural(1, "trace"), plural(24, "trace")
    ('1 trace', '24 traces')
    """
    return f"{grouped(number)} {noun}" if number == 1 else f"{grouped(number)} {noun}s"


def listed(names: Sequence[str]) -> str:
    """Names as prose.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def span_text(low: int, high: int) -> str:
    """Whole numbers from low to high; one of them where they are equal."""
    return str(low) if low == high else f"{low}–{high}"


def digits_for(values: Iterable[float], intervals: Iterable[tuple[float, float] | None]) -> int:
    """Decimals, at least three, that show two figures of the typical interval, or of the spread without one.

    >>> digits_for([0.41, 0.44], [(0.40, 0.43), (0.42, 0.45)])
    3
    """
    widths = [interval[1] - interval[0] for interval in intervals if interval is not None]
    scale = statistics.median(widths) if widths else 0.0
    if scale <= 0:
        listed_values = list(values)
        scale = max(listed_values) - min(listed_values) if listed_values else 0.0
    if scale <= 0:
        return 4
    return min(6, max(3, 1 - math.floor(math.log10(scale))))


def direction(*, lower: bool) -> str:
    """Which way is better, as a word."""
    return "lower" if lower else "higher"
