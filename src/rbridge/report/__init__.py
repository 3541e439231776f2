"""From results to one HTML page that needs no network. Nothing is scored or resampled here."""

from rbridge.report.beside import comparison_rows, with_companions
from rbridge.report.build import Page, build_page
from rbridge.report.comparison import ComparisonRow, Gain
from rbridge.report.heatmap import HeatMap, heat_map
from rbridge.report.render import render
from rbridge.report.scatter import RecordedTargets
from rbridge.report.study_part import ContaminationRow, FitRow, Plan, PlanRow, StudyPart, TrainedRow, UnitRow

__all__ = [
    "ComparisonRow",
    "ContaminationRow",
    "FitRow",
    "Gain",
    "HeatMap",
    "Page",
    "Plan",
    "PlanRow",
    "RecordedTargets",
    "StudyPart",
    "TrainedRow",
    "UnitRow",
    "build_page",
    "comparison_rows",
    "heat_map",
    "render",
    "with_companions",
]
