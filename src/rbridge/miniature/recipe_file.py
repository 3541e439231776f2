"""A user's own candidate recipes, from a JSON file."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rbridge.errors import InputError
from rbridge.miniature.recipes import Part, Recipe
from rbridge.miniature.styles import STYLES


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    style: str
    share: float = Field(gt=0, le=1)
    distinct: float = Field(default=0.0, ge=0)
    leaked: str = ""


class _Recipe(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[\w.+-]+$")
    parts: list[_Part]


_FILE = TypeAdapter(list[_Recipe])
_FORM = '[{"name": "mine", "parts": [{"style": "standard", "share": 0.9}]}, ...]'


def read_recipes(path: Path) -> tuple[Recipe, ...]:
    """Recipes of a file such as ``[{"name": "mine", "parts": [{"style": "standard", "share": 0.9}]}]``.

    Raises:
        InputError: no such file, another form, a style that is not known, a name twice, or shares above 1.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected {_FORM}")
    try:
        found = _FILE.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {place or 'file'}: {first['msg']}; expected {_FORM}") from None
    names = {recipe.name for recipe in found}
    if len(found) < 2 or len(names) < len(found):
        raise InputError(
            f"{path}: {len(found)} recipes with {len(names)} names; expected two or more, each of its own name"
        )
    return tuple(_recipe(path, one) for one in found)


def _recipe(path: Path, one: _Recipe) -> Recipe:
    for part in one.parts:
        if part.style not in STYLES:
            raise InputError(f"{path}: {one.name}: no style {part.style!r}; known are {', '.join(STYLES)}")
        if part.leaked not in ("", "evaluation", "traces"):
            raise InputError(
                f"{path}: {one.name}: leaked {part.leaked!r}; expected 'evaluation', 'traces' or nothing"
            )
    if math.fsum(part.share for part in one.parts) > 1 + 1e-9:
        raise InputError(f"{path}: {one.name}: its shares sum to more than 1")
    return Recipe(one.name, tuple(Part(**part.model_dump()) for part in one.parts))
