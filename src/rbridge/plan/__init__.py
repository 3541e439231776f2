"""What to train next, and how much: the two-stage search, separating recipes, the value of one more proxy."""

from rbridge.plan.allocate import Belief, Halving, beliefs, halving_schedule, knowledge_gain
from rbridge.plan.noise import Correlation, correlation_from_accuracy, pilot_correlation
from rbridge.plan.separate import Separation, seeds_to_separate, traces_to_separate
from rbridge.plan.two_stage import Choice, Costs, TwoStage, two_stage

__all__ = [
    "Belief",
    "Choice",
    "Correlation",
    "Costs",
    "Halving",
    "Separation",
    "TwoStage",
    "beliefs",
    "correlation_from_accuracy",
    "halving_schedule",
    "knowledge_gain",
    "pilot_correlation",
    "seeds_to_separate",
    "traces_to_separate",
    "two_stage",
]
