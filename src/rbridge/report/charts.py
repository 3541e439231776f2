"""What the page draws: dots with intervals, and scores against targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from rbridge.rank import CHANCE
from rbridge.report.comparison import ComparisonRow, ComparisonSection
from rbridge.report.labels import Anchor, Mark, place_labels, shortened, text_width
from rbridge.report.rankings import RankingSection
from rbridge.report.scatter import NUMBERED, ScatterSection
from rbridge.report.svg import FONT, PAPER, STRONG, WEAK, Chart, Figure, Width, axis_title, figure, one_line
from rbridge.report.text import bracket, fixed

SPREAD = 5.0  # largest over least value from which an axis is logarithmic
_SHAPES = {"score": "circle", "control": "square", "null": "triangle-up"}


_NARROW = Width(322, 118.0)
_DOTS = (Width(470, 150.0), _NARROW)
_METRICS = (Width(470, 190.0), Width(322, 170.0))  # names of ours, which must stand whole
_SCATTER = (Width(620, 160.0), _NARROW)


def ranking_figure(section: RankingSection, ident: str) -> Figure:
    """Dots and intervals, best on top; filled where a recipe cannot be told apart from the leader."""
    rows = [
        {
            "name": one_line(row.recipe),
            "value": row.value,
            "low": row.value if row.interval is None else row.interval[0],
            "high": row.value if row.interval is None else row.interval[1],
            "colour": WEAK if row.with_leader is False else STRONG,
            "fill": PAPER if row.with_leader is False else STRONG,
            "shape": "circle",
        }
        for row in section.rows
    ]
    log = _spread([row[end] for row in rows for end in ("low", "high")])
    title = axis_title(section.proxy, section.unit, lower=section.lower_is_better, log=log)
    label = f"{section.proxy} by recipe, {section.title}: " + "; ".join(
        f"{row.recipe} {fixed(row.value, section.digits)} {bracket(row.interval, section.digits)}"
        for row in section.rows
    )
    return figure(lambda width: _dots(rows, title, width, log=log), _DOTS, ident, label)


def comparison_figure(section: ComparisonSection, ident: str) -> Figure | None:
    """Decision accuracy of every metric that has one, with chance marked."""
    rows = [_comparison_row(row) for row in section.rows if row.agreement.decision_accuracy is not None]
    if not rows:
        return None
    label = "Decision accuracy by metric: " + "; ".join(
        f"{row.name} {fixed(row.agreement.decision_accuracy, 2)} {bracket(row.agreement.interval, 2)}"
        for row in section.rows
    )
    title = "decision accuracy (higher is better →)"
    return figure(
        lambda width: _dots(rows, title, width, domain=(0.0, 1.0), reference=CHANCE), _METRICS, ident, label
    )


def _comparison_row(row: ComparisonRow) -> dict[str, Any]:
    value = row.agreement.decision_accuracy
    low, high = row.agreement.interval or (value, value)
    strong = row.kind == "score"
    return {
        "name": one_line(row.name),
        "value": value,
        "low": low,
        "high": high,
        "colour": STRONG if strong else WEAK,
        "fill": STRONG if strong else PAPER,
        "shape": _SHAPES[row.kind],
    }


def _dots(
    rows: Sequence[Mapping[str, Any]],
    title: str,
    width: Width,
    *,
    domain: tuple[float, float] | None = None,
    reference: float | None = None,
    log: bool = False,
) -> Chart:
    # Places, not names, are the categories: cut names may coincide.
    names = [shortened(row["name"], FONT, width.names) for row in rows]
    values = [
        {**row, "place": place, "name": name}
        for place, (row, name) in enumerate(zip(rows, names, strict=True))
    ]
    margin = max(text_width(name, FONT) for name in names) + 14
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("place:O", axis=None, scale=alt.Scale(padding=0.2))
    )
    if domain:
        scale = alt.Scale(domain=list(domain))
    elif log:
        scale = alt.Scale(type="log", nice=False, padding=8)
    else:
        scale = alt.Scale(zero=False, nice=True, padding=8)
    axis = alt.Axis(grid=True, domain=False, ticks=False, titlePadding=10, **_ticks(rows, log=log))
    rule = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", scale=scale, axis=axis, title=title),
        x2="high:Q",
        color=alt.Color("colour:N", scale=None, legend=None),
    )
    dot = base.mark_point(size=62, strokeWidth=2, opacity=1).encode(
        x="value:Q",
        stroke=alt.Stroke("colour:N", scale=None, legend=None),
        fill=alt.Fill("fill:N", scale=None, legend=None),
        shape=alt.Shape("shape:N", scale=None, legend=None),
    )
    name = base.mark_text(align="right", baseline="middle", dx=-10, color="currentColor").encode(
        x=alt.value(0), text="name:N"
    )
    layers = [rule, dot, name] if reference is None else [_reference(reference), rule, dot, name]
    return alt.layer(*layers).properties(width=width.outer - round(margin) - 14, height=alt.Step(25))


def _spread(values: Sequence[float]) -> bool:
    """Whether one value far off would squeeze the others to a point on a linear axis."""
    return min(values) > 0 and max(values) > SPREAD * min(values)


def _ticks(rows: Sequence[Mapping[str, Any]], *, log: bool) -> dict[str, Any]:
    if not log:
        return {"tickCount": 5}
    low, high = min(row["low"] for row in rows), max(row["high"] for row in rows)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{step}e{power}") for power in decades for step in (1, 2, 5)]
    return {"values": [tick for tick in ticks if low <= tick <= high], "format": "~g"}


def _reference(value: float) -> alt.Chart:
    rule = alt.Chart(alt.Data(values=[{"low": value}]))
    return rule.mark_rule(strokeDash=[4, 3], color="currentColor", opacity=0.7).encode(x="low:Q")


def scatter_figure(section: ScatterSection, ident: str) -> Figure | None:
    """Score against target, every point named, intervals on the score; None without a point."""
    if not section.points:
        return None
    label = f"{section.proxy} against {section.target}, {section.title}: " + "; ".join(
        f"{point.recipe} {fixed(point.value, section.digits)} against {fixed(point.target, 3)}"
        for point in section.points
    )
    return figure(lambda width: _scatter(section, width), _SCATTER, ident, label)


def _scatter(section: ScatterSection, width: Width) -> Chart:
    plot = (float(width.outer - 62), 0.62 * width.outer)
    numbered = width is _NARROW and len(section.points) > NUMBERED
    rows = [
        {
            "name": str(point.rank) if numbered else shortened(one_line(point.recipe), FONT, width.names),
            "x": point.value,
            "low": point.value if point.interval is None else point.interval[0],
            "high": point.value if point.interval is None else point.interval[1],
            "y": point.target,
        }
        for point in section.points
    ]
    ends = [row[end] for row in rows for end in ("low", "high")]
    log = _spread(ends)
    across = math.exp if log else float
    domains = (_padded([math.log(end) for end in ends] if log else ends), _padded([row["y"] for row in rows]))
    title = axis_title(section.proxy, section.unit, lower=section.lower_is_better, log=log)
    x = _axis((across(domains[0][0]), across(domains[0][1])), title, _ticks(rows, log=log) if log else None)
    y = _axis(domains[1], one_line(section.target))
    base = alt.Chart(alt.Data(values=rows))
    return alt.layer(
        base.mark_rule(color=STRONG, strokeWidth=1.5, opacity=0.55).encode(
            x=alt.X("low:Q", **x), x2="high:Q", y=alt.Y("y:Q", **y)
        ),
        base.mark_point(size=62, filled=True, color=STRONG, opacity=1).encode(
            x=alt.X("x:Q", **x), y=alt.Y("y:Q", **y)
        ),
        *[
            alt.Chart(alt.Data(values=values))
            .mark_text(align=anchor, baseline="middle", color="currentColor")
            .encode(x=alt.X("x:Q", **x), y=alt.Y("y:Q", **y), text="name:N")
            for anchor, values in _names(rows, plot, domains, log=log).items()
        ],
    ).properties(width=plot[0], height=plot[1])


def _axis(
    domain: tuple[float, float], title: str, log_ticks: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    if log_ticks is not None:
        scale = alt.Scale(type="log", domain=list(domain), nice=False)
        return {"scale": scale, "axis": alt.Axis(**log_ticks), "title": title}
    scale = alt.Scale(domain=list(domain), nice=False, zero=False)
    return {"scale": scale, "axis": alt.Axis(tickCount=6), "title": title}


def _names(
    rows: Sequence[Mapping[str, Any]],
    plot: tuple[float, float],
    domains: tuple[tuple[float, float], tuple[float, float]],
    *,
    log: bool,
) -> dict[Anchor, list[dict[str, Any]]]:
    """Labels where they cover least: Vega would put all of them on the same side."""
    inward, outward = (math.log, math.exp) if log else (float, float)
    (left, right), (bottom, top) = domains
    across, down = plot[0] / (right - left), plot[1] / (top - bottom)
    marks = [
        Mark(
            (inward(row["x"]) - left) * across,
            (top - row["y"]) * down,
            (inward(row["low"]) - left) * across,
            (inward(row["high"]) - left) * across,
            text_width(row["name"], FONT),
        )
        for row in rows
    ]
    places = place_labels(marks, width=plot[0], height=plot[1], font=FONT)
    by_anchor: dict[Anchor, list[dict[str, Any]]] = {}
    for row, place in zip(rows, places, strict=True):
        at = {"x": outward(left + place.x / across), "y": top - place.y / down, "name": row["name"]}
        by_anchor.setdefault(place.anchor, []).append(at)
    return by_anchor


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.07 * (high - low) or 0.1 * abs(low) or 0.1
    return low - room, high + room
