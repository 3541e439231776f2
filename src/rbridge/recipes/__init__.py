"""Candidate recipes: read from a file, checked, tokenised once, mixed to the token; no model runs here."""

from rbridge.recipes.contamination import (
    SourceContamination,
    by_recipe,
    check_contamination,
    rows_of_recipes,
    worst_first,
)
from rbridge.recipes.counts import parse_count, show_count
from rbridge.recipes.mix import Mix, MixPlan, PhaseMix, mix_recipe, mix_sources, open_mix
from rbridge.recipes.read import line_of, parse_yaml, read_recipes
from rbridge.recipes.repetition import Repetition
from rbridge.recipes.schedule import learning_rates
from rbridge.recipes.spec import Base, Phase, Recipe, RecipeFile, Schedule, Source
from rbridge.recipes.tokens import TokenisedSource, Vocabulary, open_tokens, sample_texts, tokenise

__all__ = [
    "Base",
    "Mix",
    "MixPlan",
    "Phase",
    "PhaseMix",
    "Recipe",
    "RecipeFile",
    "Repetition",
    "Schedule",
    "Source",
    "SourceContamination",
    "TokenisedSource",
    "Vocabulary",
    "by_recipe",
    "check_contamination",
    "learning_rates",
    "line_of",
    "mix_recipe",
    "mix_sources",
    "open_mix",
    "open_tokens",
    "parse_count",
    "parse_yaml",
    "read_recipes",
    "rows_of_recipes",
    "sample_texts",
    "show_count",
    "tokenise",
    "worst_first",
]
