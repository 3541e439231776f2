"""From results to one HTML page that needs no network. Nothing is scored or resampled here."""

from rbridge.report.beside import comparison_rows, with_companions
from rbridge.report.build import Page, build_page
from rbridge.report.comparison import ComparisonRow, Gain
from rbridge.report.heatmap import HeatMap, heat_map
from rbridge.report.render import render
from rbridge.report.scatter import RecordedTargets

__all__ = [
    "ComparisonRow",
    "Gain",
    "HeatMap",
    "Page",
    "RecordedTargets",
    "build_page",
    "comparison_rows",
    "heat_map",
    "render",
    "with_companions",
]
