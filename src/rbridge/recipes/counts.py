"""Counts as people write them: 400M, 0.4B, 4e8."""

from __future__ import annotations

import re

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}
_COUNT = re.compile(r"\s*(\d[\d_]*(?:\.\d*)?(?:[eE]\+?\d+)?)\s*([kMBGT]?)\s*")


def parse_count(value: object) -> int:
    """A whole number of tokens or parameters.

    >>> parse_count("0.4B"), parse_count(4e8), parse_count("400_000k")
    (400000000, 400000000, 400000000)

    Raises:
        ValueError: it is none, or no whole one.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"expected a count such as 400M, found {value!r}")  # noqa: TRY004, pydantic catches this one
    found = _COUNT.fullmatch(value) if isinstance(value, str) else None
    if isinstance(value, str) and found is None:
        raise ValueError(f"expected a count such as 400M, 0.4B or 4e8, found {value!r}")
    number = float(value) if found is None else float(found[1].replace("_", "")) * _UNITS[found[2]]
    # 0.4 * 1e9 is not exact in binary; what is meant is whole to far less than a millionth.
    if number < 1 or abs(number - round(number)) > 1e-6 * number:
        raise ValueError(f"expected a whole number of at least 1, found {value!r}")
    return round(number)


def show_count(count: int) -> str:
    """A count for people: three digits and a unit.

    >>> show_count(400_000_000), show_count(98_304), show_count(512)
    ('400M', '98.3k', '512')
    """
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.3g}"
