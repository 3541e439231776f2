"""What a study file may say (docs/studies.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from rbridge.recipes.spec import Count, Name, Recipe, Source

FORMAT_VERSION = 1
_COST = re.compile(r"(.+?)\s*[x*]\s*(.+)")

Share = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


def parse_cost(value: object) -> float:
    """FLOPs, or ``PARAMETERSxTOKENS`` as 6ND.

    >>> parse_cost("3.7Mx0.4B") == 6 * 3.7e6 * 0.4e9, parse_cost(1e20)
    (True, 1e+20)

    Raises:
        ValueError: it is neither.
    """
    from rbridge.recipes.counts import parse_count

    both = _COST.fullmatch(value) if isinstance(value, str) else None
    if both is not None:
        return 6.0 * parse_count(both[1]) * parse_count(both[2])
    try:
        cost = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"expected FLOPs (1.3e16) or PARAMETERSxTOKENS (7Bx1T), found {value!r}") from None
    if not 0 < cost < float("inf"):
        raise ValueError(f"expected a cost above 0, found {value!r}")
    return cost


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenizerTraining(_Strict):
    """A tokenizer made for the study, from sources of its choice, so that not every recipe's change remakes it.

    Attributes:
        sources: names of the sources that its merges are counted on.
        vocab_size: most ids.
        sample_chars: of each source.
    """

    sources: Names
    vocab_size: Annotated[int, Field(ge=258)]
    sample_chars: Annotated[int, Field(ge=1)] = 10_000_000


class Ladder(_Strict):
    """Models to train on every recipe; as the options of ``rbridge proxies train``.

    Attributes:
        sizes: names of the ladder's sizes, or ``base`` alone where recipes start from a checkpoint.
        seeds: of each.
        tokens: of each model, instead of its size's own.
        window: tokens of a training window, instead of the size's own.
        learning_rate: a rule's name, or the peak.
        checkpoints: that are kept of each model; the last ones are scored, as many as ``scoring`` says.
    """

    sizes: Names
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    tokens: Count | None = None
    window: Annotated[int, Field(ge=16)] | None = None
    learning_rate: Annotated[str, BeforeValidator(str)] = "small"
    checkpoints: Annotated[int, Field(ge=1)] = 1

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        twice = next((seed for seed in seeds if seeds.count(seed) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} comes twice; expected each seed once")
        return seeds


class Scoring(_Strict):
    """How proxies are scored; as the options of ``rbridge score``.

    Attributes:
        last: so many of each model's last checkpoints are scored, and averaged in the rankings.
    """

    shots: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1)] | None = None
    questions: str = "auto"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    batch_tokens: Annotated[int, Field(ge=1)] = 4096
    margin: bool = False
    gold: bool = False
    last: Annotated[int, Field(ge=1)] = 1


class Decision(_Strict):
    """What is declared before any score exists (``rbridge declare``).

    Attributes:
        metric: that decides.
        decision: what will be done, in words.
        margin: recipes whose metric differs by no more count as equally good.
    """

    metric: str = "rbridge"
    decision: Annotated[str, Field(min_length=1)]
    margin: Annotated[float, Field(ge=0)]


class Contamination(_Strict):
    """How much of the benchmarks' questions and traces a recipe's sources may hold.

    Attributes:
        refuse_above: share of problems put into its sources above which a recipe is not trained; where it is given,
            a ranking in which twins show that a recipe has seen the problems is refused. None reports only.
    """

    refuse_above: Annotated[float, Field(ge=0, le=1)] | None = None


class TwoStagePlan(_Strict):
    """The two-stage search: ``proxies`` are stage 1, the survivors go to stage 2.

    Attributes:
        stage1_accuracy, stage2_accuracy: decision accuracy that each stage is taken to have against the target.
        stage2: what is trained on the survivors.
        target_cost: FLOPs of one run at target size, or PARAMETERSxTOKENS.
        survive: wanted chance that the best recipe survives stage 1.
        shared_error: correlation of the two stages' errors.
        keep: so many recipes, instead of as many as the plan recommends.
    """

    stage1_accuracy: Annotated[float, Field(gt=0.5, lt=1)]
    stage2_accuracy: Annotated[float, Field(gt=0.5, lt=1)]
    stage2: Ladder
    target_cost: Annotated[float, BeforeValidator(parse_cost)]
    survive: Share = 0.9
    shared_error: Annotated[float, Field(ge=0, lt=1)] = 0.0
    keep: Annotated[int, Field(ge=1)] | None = None


class Table(_Strict):
    """Targets that are known: a CSV with recipe, the column, and benchmark where they differ by it."""

    table: str
    column: str = "accuracy"
    lower_is_better: bool = False


class Measured(_Strict):
    """Targets of the study's own: larger models, trained on the same recipes and evaluated by generation.

    Attributes:
        train: one size, and its seeds.
        questions: where problems come from, as for ``rbridge evaluate``; a JSONL file, seen from the study's.
        shots, limit, max_tokens: as for ``rbridge evaluate``.
    """

    train: Ladder
    questions: str = "auto"
    shots: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] = 256

    @model_validator(mode="after")
    def _one_size(self) -> Measured:
        if len(self.train.sizes) != 1:
            raise ValueError(f"targets are trained at one size, found {len(self.train.sizes)}")
        return self


class Wanted(_Strict):
    """What is reported beside the ranking.

    Attributes:
        title: of the page; the study's name where left out.
        null_bytes: of each recipe, that its data-only null is counted on; 0 leaves the null out.
        fit: a curve from the score to the targets, where there are any.
        heat: traces to show token by token.
        text: False leaves every word of traces and questions off the page.
    """

    title: str | None = None
    null_bytes: Annotated[int, Field(ge=0)] = 300_000
    fit: bool = True
    heat: tuple[str, ...] = ()
    text: bool = True


# Which of its forms a part has is told by what stands there, so that a fault is told of that form alone.


def _recipes_kind(value: Any) -> str:
    return (
        "inline"
        if isinstance(value, Mapping)
        else "files"
        if isinstance(value, Sequence) and not isinstance(value, str)
        else "file"
    )


def _tokenizer_kind(value: Any) -> str:
    return "given" if isinstance(value, str) else "trained"


def _targets_kind(value: Any) -> str:
    measured = isinstance(value, Measured) or (isinstance(value, Mapping) and "train" in value)
    return "measured" if measured else "table"


class StudyFile(_Strict):
    """A study, as its file says it."""

    format_version: Literal[1] = 1
    name: Name
    out: str = "results"
    sources: dict[Name, Source] = Field(default_factory=dict)
    recipes: Annotated[
        Annotated[str, Tag("file")]
        | Annotated[Names, Tag("files")]
        | Annotated[dict[Name, Recipe], Tag("inline")],
        Discriminator(_recipes_kind),
    ]
    target_tokens: Count | None = None
    tokenizer: Annotated[
        Annotated[str, Tag("given")] | Annotated[TokenizerTraining, Tag("trained")],
        Discriminator(_tokenizer_kind),
    ]
    bundle: str
    benchmarks: Names | None = None
    proxies: Ladder
    scoring: Scoring = Scoring()
    declaration: Decision
    contamination: Contamination = Contamination()
    plan: TwoStagePlan | None = None
    targets: (
        Annotated[
            Annotated[Table, Tag("table")] | Annotated[Measured, Tag("measured")],
            Discriminator(_targets_kind),
        ]
        | None
    ) = None
    report: Wanted = Wanted()
