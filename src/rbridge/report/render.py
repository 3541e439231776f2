"""From the page as data to one HTML file: no script, no network, every stranger's text inert."""

from __future__ import annotations

import math
from importlib.resources import files
from typing import Any

from rbridge.metric import metric_named
from rbridge.report import text
from rbridge.report.build import Page
from rbridge.report.comparison import RULE

_TEMPLATES = "templates"


def render(page: Page) -> str:
    """The page as HTML, the same for the same data."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("rbridge.report", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in (
        "fixed",
        "signed",
        "bracket",
        "percent",
        "p_text",
        "grouped",
        "plural",
        "listed",
        "span_text",
        "scientific",
    ):
        environment.filters[name] = getattr(text, name)
    environment.filters["short_name"] = short_name
    environment.filters["shade"] = shade
    environment.filters["whole_percent"] = whole_percent
    css = files("rbridge.report").joinpath(_TEMPLATES, "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        page=page,
        css=Markup(css),  # noqa: S704 - our own file
        dash=text.NONE,
        metric=metric_named,
        rule=RULE,
        figures=_figures(page),
    )


def printable(value: Any) -> Any:
    """What may be printed: markup, whole numbers and text made visible. Never None or a bare float.

    Raises:
        TypeError: a value that would print as "None", "nan" or with a random number of digits.
    """
    if hasattr(value, "__html__"):
        return value
    if isinstance(value, str):
        return text.visible(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError(f"{value!r} reached the page without a format")


def short_name(name: str, width: int = 44) -> str:
    """The end of a long path, where checkpoints differ; the whole of it stands under provenance."""
    return name if len(name) <= width else f"…{name[1 - width :]}"


def whole_percent(share: float) -> str:
    """A share as a percentage without decimals."""
    return text.percent(round(share, 2))


def shade(value: float) -> str:
    """A share in [0, 1] as a CSS number.

    >>> shade(0.5), shade(0.0), shade(0.99999)
    ('0.5', '0', '1')
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} is no shade")
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _figures(page: Page) -> dict[str, list[Any]]:
    from rbridge.report.charts import comparison_figure, ranking_figure, scatter_figure

    return {
        "rankings": [ranking_figure(one, f"ranking{n}") for n, one in enumerate(page.rankings, start=1)],
        "scatters": [scatter_figure(one, f"scatter{n}") for n, one in enumerate(page.scatters, start=1)],
        "comparisons": [
            comparison_figure(one, f"comparison{n}") for n, one in enumerate(page.comparisons, start=1)
        ],
    }
