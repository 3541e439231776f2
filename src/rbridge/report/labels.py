"""Where the names of points go, so that they cover neither each other nor the points."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Anchor = Literal["left", "center", "right"]
_GAP = 6.0  # pixels between a mark and its label
_MARK = 5.0  # half the side of the square that a point takes


@dataclass(frozen=True)
class Mark:
    """A point with a horizontal interval, in pixels from the top left of the plot."""

    x: float
    y: float
    low: float
    high: float
    width: float


@dataclass(frozen=True)
class Place:
    """Where a label stands: its anchor and the middle of its height."""

    x: float
    y: float
    anchor: Anchor


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: _Box) -> float:
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(wide, 0.0) * max(high, 0.0)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)


def text_width(text: str, font: float) -> float:
    """About how wide a text is, in pixels: wide characters take a full em.

    >>> text_width("abcd", 10.0)
    24.0
    """
    return sum(font if unicodedata.east_asian_width(char) in "WF" else 0.6 * font for char in text)


def shortened(text: str, font: float, limit: float) -> str:
    """The text, cut in its middle where it would be wider than the limit: names differ at their ends.

    >>> shortened("falcon-refinedweb-mix50", 10.0, 90.0)
    'falcon-…b-mix50'
    """
    kept = len(text)
    short = text
    while kept and text_width(short, font) > limit:
        kept -= 1
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return short


def place_labels(marks: Sequence[Mark], *, width: float, height: float, font: float) -> list[Place]:
    """A place for each mark's label, the least covered of eight, top marks first.

    Args:
        marks: points with the widths of their labels.
        width, height: of the plot, which no label should leave.
        font: its size, pixels.
    """
    obstacles = [box for mark in marks for box in _mark_boxes(mark)]
    places: dict[int, Place] = {}
    for index in sorted(range(len(marks)), key=lambda index: (marks[index].y, marks[index].x)):
        mark = marks[index]
        best = min(
            _candidates(mark, font),
            key=lambda place: _cost(_label_box(place, mark, font), obstacles, width, height),
        )
        places[index] = best
        obstacles.append(_label_box(best, mark, font))
    return [places[index] for index in range(len(marks))]


def _mark_boxes(mark: Mark) -> tuple[_Box, _Box]:
    return (
        _Box(mark.x - _MARK, mark.y - _MARK, mark.x + _MARK, mark.y + _MARK),
        _Box(mark.low, mark.y - 2, mark.high, mark.y + 2),
    )


def _candidates(mark: Mark, font: float) -> Iterator[Place]:
    rise = _MARK + font / 2 + 2
    for y in (mark.y - rise, mark.y + rise):
        yield Place(mark.x, y, "center")
        yield Place(mark.x + _GAP / 2, y, "left")
        yield Place(mark.x - _GAP / 2, y, "right")
    yield Place(mark.high + _GAP, mark.y, "left")
    yield Place(mark.low - _GAP, mark.y, "right")


def _label_box(place: Place, mark: Mark, font: float) -> _Box:
    left = place.x - {"left": 0.0, "center": 0.5, "right": 1.0}[place.anchor] * mark.width
    return _Box(left, place.y - font / 2, left + mark.width, place.y + font / 2)


def _cost(box: _Box, obstacles: Sequence[_Box], width: float, height: float) -> float:
    outside = box.area - box.overlap(_Box(0.0, 0.0, width, height))
    return 4 * outside + sum(box.overlap(other) for other in obstacles)
