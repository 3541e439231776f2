"""Inline SVG from altair charts, drawn once at build time: no script, colours by CSS variables, text as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import altair as alt
import vl_convert
from markupsafe import Markup, escape

from rbridge.report.text import visible

FONT = 12.5  # pixels
STRONG, WEAK, PAPER, RULE = "var(--accent)", "var(--muted)", "var(--paper)", "var(--rule)"
Chart = alt.LayerChart | alt.FacetChart  # what altair's layer() may return

_NEEDLESS = re.compile(
    r' (?:xmlns(?::xlink)?|version|class|font-family|aria-[a-z]+|role|pointer-events)="[^"]*"|(?<= )opacity="1"'
)
_PREFIXED = re.compile(r' id="|url\(#')
_LONG = re.compile(r"\d+\.\d{3,}")
_EMPTY = re.compile(r'<path[^>]* d="(?:M0,0h0v0h0Z)?"[^>]*/>')


@dataclass(frozen=True)
class Width:
    """A chart's outer width and the most of it that names may take, pixels."""

    outer: int
    names: float


@dataclass(frozen=True)
class Figure:
    """A chart for wide and for narrow screens: scaled text is unreadable on a phone."""

    wide: Markup
    narrow: Markup


def figure(draw: Callable[[Width], Chart], widths: tuple[Width, Width], ident: str, label: str) -> Figure:
    """A chart drawn twice; CSS shows the one that fits."""
    wide, narrow = widths
    return Figure(
        svg_text(draw(wide), f"{ident}-wide", label), svg_text(draw(narrow), f"{ident}-narrow", label)
    )


def svg_text(chart: Chart, ident: str, label: str) -> Markup:
    """A chart as an inline SVG element.

    Args:
        chart: every text in it already through ``visible``.
        ident: unique on the page; every id inside begins with it.
        label: what a screen reader says.
    """
    styled = chart.configure(background="transparent", aria=False).configure_view(stroke=None)
    styled = styled.configure_axis(
        labelColor=WEAK,
        titleColor="currentColor",
        gridColor=RULE,
        domainColor=RULE,
        tickColor=RULE,
        labelFontSize=FONT - 0.5,
        titleFontSize=FONT,
        titleFontWeight="normal",
    ).configure_text(fontSize=FONT)
    svg = re.sub("<[^>]*>", lambda tag: _tag(tag[0], ident), vl_convert.vegalite_to_svg(styled.to_dict()))
    attributes = f'<svg id="{ident}" role="img" aria-label="{escape(visible(label))}"'
    return Markup(svg.replace("<svg", attributes, 1))  # noqa: S704 - vl-convert's own markup, texts escaped by it


def _tag(tag: str, ident: str) -> str:
    """A tag without what HTML does not need, its ids unique on the page; text between tags is left alone."""
    if _EMPTY.fullmatch(tag):
        return ""
    short = _LONG.sub(
        lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), _NEEDLESS.sub("", tag)
    )
    return _PREFIXED.sub(rf"\g<0>{ident}-", short)


def one_line(text: str) -> str:
    """A stranger's text on one line of a chart."""
    return visible(text).replace("\n", "␊").replace("\t", "␉")


def axis_title(proxy: str, unit: str, *, lower: bool, log: bool = False) -> str:
    """An axis' name, unit and the way in which it gets better."""
    name = one_line(f"{proxy}, {unit}" if unit else proxy) + (", log" if log else "")
    return f"{name} ({'← lower' if lower else 'higher'} is better{'' if lower else ' →'})"
