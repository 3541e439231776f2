"""The full miniature's candidate recipes, as data: 42 in ten families, fixed before any of them was trained.

All but those of the dose family hold the same share of reasoning (``DOSE``), so that none can be told from the
others by how much of it there is. Four families are held back: they are read once, at the end.
"""

from __future__ import annotations

from rbridge.miniature.recipes import Part, Recipe

DOSE = 0.9


def _all(name: str, style: str) -> Recipe:
    return Recipe(name, (Part(style, DOSE),))


def _two(name: str, style: str, share: float, other: str) -> Recipe:
    return Recipe(name, (Part(style, share), Part(other, round(DOSE - share, 2))))


def _copies(name: str, *styles: str, distinct: float) -> Recipe:
    share = round(DOSE / len(styles), 4)
    return Recipe(name, tuple(Part(style, share, distinct=distinct) for style in styles))


def _leak(name: str, style: str, leaked: Part) -> Recipe:
    return Recipe(name, (Part(style, round(DOSE - leaked.share, 2)), leaked))


_RESTYLED = ("standard", "other connectives", "other words", "reasons behind", "bare steps")
_EVALUATION = Part("standard", 0.15, leaked="evaluation")
_TRACES = Part("standard", 0.15, leaked="traces")

FAMILIES: dict[str, tuple[Recipe, ...]] = {
    "dose": (
        _all("std90", "standard"),
        Recipe("std75", (Part("standard", 0.75),)),
        Recipe("std60", (Part("standard", 0.60),)),
        Recipe("std40", (Part("standard", 0.40),)),
        Recipe("std20", (Part("standard", 0.20),)),
    ),
    "correctness": (
        _all("wrong15", "15 % of steps wrong"),
        _all("wrong30", "30 % of steps wrong"),
        _all("wrong50", "50 % of steps wrong"),
        _all("wrong80", "80 % of steps wrong"),
        _all("wrong-last", "last step wrong"),
    ),
    "style": (
        _all("other-words", "other words"),
        _all("other-connectives", "other connectives"),
        _all("bare-steps", "bare steps"),
        _all("reasons-behind", "reasons behind"),
        _all("in-full", "in full"),
    ),
    "length": (
        _all("two-steps", "two steps"),
        _all("four-steps", "four steps"),
        _all("filler", "with filler"),
        _all("one-sum", "one sum"),
    ),
    "answers": (
        _all("answers", "answer only"),
        _two("answers-std45", "answer only", 0.45, "standard"),
    ),
    "mixtures": (
        _two("std60-words30", "standard", 0.60, "other words"),
        _two("std30-words60", "standard", 0.30, "other words"),
        _two("std45-wrong45", "standard", 0.45, "50 % of steps wrong"),
        _two("std45-full45", "standard", 0.45, "in full"),
        _two("words45-wrong45", "other words", 0.45, "50 % of steps wrong"),
    ),
    "format": (
        _all("equations", "equations"),
        _all("results-first", "results first"),
        _all("json", "JSON"),
        _all("list", "numbered list"),
    ),
    "faithfulness": (
        _all("unfaithful", "of another problem"),
        _two("unfaithful-std45", "of another problem", 0.45, "standard"),
        _all("other-start", "from another start"),
        _all("shuffled", "steps in random order"),
    ),
    "copies": (
        _copies("copies", "standard", distinct=1.0),
        _copies("copies-few", "standard", distinct=0.1),
        _copies("restyled", *_RESTYLED, distinct=1.0),
        _copies("restyled-few", *_RESTYLED, distinct=0.1),
    ),
    "leaks": (
        _leak("leak-evaluation-std", "standard", _EVALUATION),
        _leak("leak-evaluation-wrong50", "50 % of steps wrong", _EVALUATION),
        _leak("leak-traces-wrong50", "50 % of steps wrong", _TRACES),
        _leak("leak-traces-words", "other words", _TRACES),
    ),
}
HELD_BACK = ("format", "faithfulness", "copies", "leaks")
ALL = tuple(recipe for family in FAMILIES.values() for recipe in family)
# What `make miniature` trains: at least one of every family.
_FEW = (
    "std90", "std40", "wrong15", "wrong50", "other-words", "reasons-behind", "filler", "answers",
    "std45-wrong45", "equations", "json", "unfaithful", "copies-few", "leak-traces-wrong50",
)  # fmt: skip
FEW = tuple(recipe for recipe in ALL if recipe.name in _FEW)


def family_of(recipe: str) -> str | None:
    """The family of a recipe, or None where it is none of ours."""
    return next((name for name, recipes in FAMILIES.items() if recipe in {one.name for one in recipes}), None)
