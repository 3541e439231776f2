"""What a recipe is: a schedule of phases, each a mixture of sources, with a budget and a learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rbridge.errors import InputError
from rbridge.recipes.counts import parse_count

Count = Annotated[int, BeforeValidator(parse_count)]
Share = Annotated[float, Field(ge=0, le=1)]
# Names become folders, and "/" and "@" mean something in the names of checkpoints.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Text from one place; exactly one of ``text``, ``jsonl``, ``parquet`` and ``hub`` says where.

    Attributes:
        text: files of plain text, by path or glob; ``split`` says what a document is.
        jsonl: files of one object a line, .gz included.
        parquet: Parquet files.
        hub: a dataset at the Hugging Face hub, streamed.
        field: key or column of the text.
        split: of ``text``: each file one document, or its paragraphs (between blank lines), or its lines.
        config: of ``hub``: the dataset's configuration.
        subset: of ``hub``: its split.
        revision: of ``hub``: a commit or branch.
        take: tokens to read at most; a hub dataset needs it.
        available: tokens that the source has at full scale, where more than is read here.
    """

    text: str | tuple[str, ...] | None = None
    jsonl: str | tuple[str, ...] | None = None
    parquet: str | tuple[str, ...] | None = None
    hub: str | None = None
    field: str = "text"
    split: Literal["file", "paragraph", "line"] = "file"
    config: str | None = None
    subset: str = "train"
    revision: str | None = None
    take: Count | None = None
    available: Count | None = None

    @property
    def kind(self) -> Literal["text", "jsonl", "parquet", "hub"]:
        """Which of the four it is."""
        kinds: tuple[Literal["text", "jsonl", "parquet", "hub"], ...] = ("text", "jsonl", "parquet", "hub")
        return next(kind for kind in kinds if getattr(self, kind) is not None)

    @property
    def paths(self) -> tuple[str, ...]:
        """Files or globs of a local source."""
        found = getattr(self, self.kind)
        return (found,) if isinstance(found, str) else tuple(found)

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        given = [kind for kind in ("text", "jsonl", "parquet", "hub") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(
                f"expected exactly one of text, jsonl, parquet and hub, found {' and '.join(given) or 'none'}"
            )
        if self.hub is not None and self.take is None:
            raise ValueError("a hub dataset needs 'take', the tokens to stream at most, such as take: 2B")
        foreign = {"split": "text", "config": "hub", "subset": "hub", "revision": "hub"}
        for key in self.model_fields_set & foreign.keys():
            if foreign[key] != given[0]:
                raise ValueError(f"'{key}' belongs to {foreign[key]}, and this source is {given[0]}")
        return self


class Schedule(_Strict):
    """The learning rate within a phase, as shares of the phase's steps and of its peak.

    Attributes:
        kind: ``wsd`` (warm up, stay, fall linearly), ``cosine`` or ``linear`` (warm up, then fall all the way).
        peak: highest learning rate; the size's own rule (``--learning-rate``) where left out.
        warmup: share of the steps in which it rises from 0; 5 % in a recipe's first phase, else 0.
        decay: of ``wsd``: share of the steps in which it falls; 0 keeps it up for a phase that follows.
        floor: where it ends, as a share of the peak.
    """

    kind: Literal["wsd", "cosine", "linear"] = "wsd"
    peak: Annotated[float, Field(gt=0, lt=1)] | None = None
    warmup: Share | None = None
    decay: Share | None = None
    floor: Share = 0.0

    @model_validator(mode="after")
    def _shares(self) -> Schedule:
        if self.decay is not None and self.kind != "wsd":
            raise ValueError(
                f"'decay' belongs to wsd; {self.kind} falls from the warm-up's end to the last step"
            )
        if (self.warmup or 0.0) + (self.decay or 0.0) > 1:
            raise ValueError("warmup and decay take more than the whole phase")
        return self


class Phase(_Strict):
    """A stretch of training on one mixture.

    Attributes:
        mix: weights of sources by name, any positive numbers: shares of the phase's tokens are in proportion.
        tokens: its budget; or
        share: its budget as a share of the size's own; the whole of it where neither is given.
        schedule: of the learning rate.
    """

    mix: dict[Name, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    tokens: Count | None = None
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    schedule: Schedule = Schedule()

    @model_validator(mode="after")
    def _one_budget(self) -> Phase:
        if self.tokens is not None and self.share is not None:
            raise ValueError("expected tokens or share, found both")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Share of the phase's tokens by source; they add up to 1."""
        total = sum(self.mix.values())
        return {name: weight / total for name, weight in self.mix.items()}


class Base(_Strict):
    """Where training starts from: another recipe's finished model, or a checkpoint of any origin."""

    recipe: Name | None = None
    checkpoint: str | None = None

    @model_validator(mode="after")
    def _one_base(self) -> Base:
        if (self.recipe is None) == (self.checkpoint is None):
            raise ValueError("expected exactly one of recipe and checkpoint")
        return self


class Recipe(_Strict):
    """One candidate.

    Attributes:
        phases: in order.
        base: what it starts from; fresh weights where left out.
        target_tokens: tokens of the large run that this stands for; scarce sources then repeat as often here.
    """

    phases: tuple[Phase, ...] = Field(min_length=1)
    base: Base | None = None
    target_tokens: Count | None = None

    @model_validator(mode="after")
    def _budgets(self) -> Recipe:
        absolute = [phase.tokens is not None for phase in self.phases]
        if any(absolute) and not all(absolute):
            raise ValueError("either every phase gives its tokens, or none does")
        if not any(absolute):
            shares = [phase.share for phase in self.phases]
            total = sum(1.0 if share is None else share for share in shares)
            if abs(total - 1) > 1e-6:
                raise ValueError(f"the phases' shares add up to {total:g}, expected 1")
        return self

    def budgets(self, size_tokens: int) -> tuple[int, ...]:
        """Tokens of each phase, for a size whose own budget is ``size_tokens``."""
        return tuple(
            phase.tokens
            if phase.tokens is not None
            else round(size_tokens * (1.0 if phase.share is None else phase.share))
            for phase in self.phases
        )

    @property
    def fixed_tokens(self) -> int | None:
        """Tokens of all phases, where the recipe itself fixes them."""
        given = [phase.tokens for phase in self.phases if phase.tokens is not None]
        return sum(given) if given else None


class RecipeFile(_Strict):
    """All candidates of a comparison, and the sources that they share.

    Attributes:
        sources: by name.
        recipes: by name.
        target_tokens: of every recipe that gives none of its own.
    """

    format_version: Literal[1] = 1
    sources: dict[Name, Source] = Field(min_length=1)
    recipes: dict[Name, Recipe] = Field(min_length=1)
    target_tokens: Count | None = None

    def chain(self, name: str) -> tuple[str, ...]:
        """A recipe and the recipes below it, the lowest first."""
        base = self.recipes[name].base
        return (*(() if base is None or base.recipe is None else self.chain(base.recipe)), name)

    def base_checkpoint(self, name: str) -> str | None:
        """The checkpoint at the bottom of a recipe's chain, if any."""
        base = self.recipes[self.chain(name)[0]].base
        return None if base is None else base.checkpoint

    def only(self, names: Sequence[str]) -> RecipeFile:
        """The same file with these recipes, and those that they stand on, alone.

        Raises:
            InputError: one of them is not there.
        """
        for name in names:
            if name not in self.recipes:
                raise InputError(f"no recipe {name!r}; expected one of {', '.join(self.recipes)}")
        kept = {link for name in names for link in self.chain(name)}
        recipes = {name: recipe for name, recipe in self.recipes.items() if name in kept}
        return self.model_copy(update={"recipes": recipes})

    def target_of(self, name: str) -> int | None:
        """Tokens of the large run that a recipe stands for."""
        return self.recipes[name].target_tokens or self.target_tokens
