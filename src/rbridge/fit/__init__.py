"""From proxy scores to target values: the paper's fits, guarded ones with honest intervals, transfer."""

from rbridge.fit.controls import Correlation, detrended, first_differences
from rbridge.fit.curve import Curve, best_curve
from rbridge.fit.errors import Dependence
from rbridge.fit.families import CONSTANT, FAMILIES, Family, Scale
from rbridge.fit.mixture import LinearFit, fit_linear, held_out
from rbridge.fit.paper import FORMULAS, PaperCurve, PaperFit, fit_paper
from rbridge.fit.protocol import (
    RULES,
    ChosenCurve,
    GuardedFit,
    Skill,
    choose_curve,
    dependence_of,
    fit_guarded,
    skill,
)
from rbridge.fit.result import Fold, NoFit
from rbridge.fit.transfer import FEWEST_RECIPES, NOT_IDENTIFIED, Offset, transfer_offset

__all__ = [
    "CONSTANT",
    "FAMILIES",
    "FEWEST_RECIPES",
    "FORMULAS",
    "NOT_IDENTIFIED",
    "RULES",
    "ChosenCurve",
    "Correlation",
    "Curve",
    "Dependence",
    "Family",
    "Fold",
    "GuardedFit",
    "LinearFit",
    "NoFit",
    "Offset",
    "PaperCurve",
    "PaperFit",
    "Scale",
    "Skill",
    "best_curve",
    "choose_curve",
    "dependence_of",
    "detrended",
    "first_differences",
    "fit_guarded",
    "fit_linear",
    "fit_paper",
    "held_out",
    "skill",
    "transfer_offset",
]
