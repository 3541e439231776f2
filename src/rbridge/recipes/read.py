"""A recipe file is checked whole before anything starts; what is wrong is told with its line and a remedy."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from rbridge.errors import InputError
from rbridge.recipes.documents import check_source_opens
from rbridge.recipes.spec import RecipeFile

Place = tuple[Hashable, ...]


def read_recipes(path: Path, *, sources: bool = True) -> RecipeFile:
    """The recipes of a YAML file (docs/recipes.md); relative paths of sources are the file's neighbours.

    Args:
        path: the file.
        sources: also find the first document of every local source.

    Raises:
        InputError: the file cannot be read, is no YAML, or says something that cannot be meant, with
            the line and what was expected.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a recipe file (docs/recipes.md)") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no UTF-8 at byte {error.start}; expected a YAML file") from None
    document, lines = parse_yaml(text, path)
    try:
        found = RecipeFile.model_validate(document)
    except ValidationError as error:
        raise InputError(_first_fault(path, error, lines, document)) from None
    check_names(path, found, lines)
    found = with_absolute_paths(found, path.parent)
    if sources:
        check_sources(path, found, lines)
    return found


def parse_yaml(text: str, path: Path) -> tuple[Any, dict[Place, int]]:
    """A YAML document and the line of each of its keys and entries.

    Raises:
        InputError: it is no YAML, or a key comes twice.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            raise InputError(f"{path}: empty; expected a YAML mapping")
        lines: dict[Place, int] = {}
        return _value(loader, root, (), lines, path), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise InputError(f"{place}: no YAML: {error.problem}; check indentation and quotes") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: no YAML: {error}") from None
    finally:
        loader.dispose()


def _value(loader: yaml.SafeLoader, node: yaml.Node, at: Place, lines: dict[Place, int], path: Path) -> Any:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        found: dict[Any, Any] = {}
        loader.flatten_mapping(node)  # merge keys (<<)
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node)
            line = key_node.start_mark.line + 1
            if key in found and lines.get((*at, key), line) != line:
                raise InputError(
                    f"{path}:{line}: key {key!r} comes twice, first in line {lines[*at, key]}; expected it once"
                )
            lines[*at, key] = line
            found[key] = _value(loader, value_node, (*at, key), lines, path)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, entry, (*at, number), lines, path) for number, entry in enumerate(node.value)]
    return loader.construct_object(node)


def line_of(lines: dict[Place, int], place: Place) -> int:
    """The line of a place, or of the nearest thing around it that is written down."""
    while place not in lines and place:
        place = place[:-1]
    return lines.get(place, 1)


def _first_fault(path: Path, error: ValidationError, lines: dict[Place, int], document: Any) -> str:
    fault = error.errors()[0]
    place = tuple(part for part in fault["loc"] if part != "[key]")
    where = f"{path}:{line_of(lines, place)}: {'.'.join(map(str, place)) or 'the file'}"
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key; {_known_keys(place)}"
    if fault["type"] == "missing":
        return f"{where}: missing; expected it there (docs/recipes.md)"
    if fault["type"] == "string_pattern_mismatch":
        return f"{where}: no name; expected letters, digits, and any of . _ + - behind the first"
    if fault["type"] in ("model_type", "dict_type", "model_attributes_type") and not isinstance(
        document, dict
    ):
        return f"{where}: found {type(document).__name__}; expected a mapping with sources and recipes"
    found = "" if isinstance(fault["input"], (dict, list)) else f" (found {fault['input']!r})"
    more = f"; {error.error_count() - 1} more" if error.error_count() > 1 else ""
    said = {"tuple_type": "expected a list", "dict_type": "expected keys with values"}
    message = said.get(fault["type"], fault["msg"].removeprefix("Value error, "))
    return f"{where}: {message}{found}{more}"


def _known_keys(place: Place) -> str:
    from rbridge.recipes import spec

    depth: list[tuple[int, str, type]] = [
        (1, "", spec.RecipeFile),
        (3, "sources", spec.Source),
        (3, "recipes", spec.Recipe),
        (5, "phases", spec.Phase),
        (6, "schedule", spec.Schedule),
        (4, "base", spec.Base),
    ]
    for length, holder, model in depth:
        if len(place) == length and (not holder or holder in place[:-1]):
            known = sorted(getattr(model, "model_fields"))  # noqa: B009, pydantic's classes are told apart at run time
            near = get_close_matches(str(place[-1]), known, n=1)
            return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
    return "expected none here"


def check_names(path: Path, found: RecipeFile, lines: dict[Place, int]) -> None:
    """Check that every name that a recipe uses is there.

    Raises:
        InputError: it is not, or recipes stand on one another in a ring.
    """
    for place, name, known, what in _references(found):
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
            raise InputError(f"{path}:{line_of(lines, place)}: no {what} {name!r}; {hint}")
    for name, recipe in found.recipes.items():
        place, seen = ("recipes", name, "base"), {name}
        base = recipe.base
        while base is not None and base.recipe is not None:
            if base.recipe in seen:
                raise InputError(
                    f"{path}:{line_of(lines, place)}: recipe {name!r} is its own base, through {base.recipe!r}; "
                    "expected a chain that ends"
                )
            seen.add(base.recipe)
            base = found.recipes[base.recipe].base
        if found.base_checkpoint(name) is not None and recipe.fixed_tokens is None:
            raise InputError(
                f"{path}:{line_of(lines, ('recipes', name, 'phases'))}: recipe {name!r} starts from a checkpoint, "
                "so no size gives it a budget; expected 'tokens' in its phases"
            )


def check_sources(path: Path, found: RecipeFile, lines: dict[Place, int]) -> None:
    """Check that every local source can be read as far as its first document.

    Args:
        path: of the file that names them.
        found: what it says, paths as seen from here.
        lines: of the file.

    Raises:
        InputError: one cannot, with its line.
    """
    for name, source in found.sources.items():
        try:
            check_source_opens(name, source)
        except InputError as error:
            raise InputError(f"{path}:{line_of(lines, ('sources', name))}: {error}") from None


def _references(found: RecipeFile) -> Iterator[tuple[Place, str, list[str], str]]:
    sources, recipes = list(found.sources), list(found.recipes)
    for name, recipe in found.recipes.items():
        for number, phase in enumerate(recipe.phases):
            for source in phase.mix:
                yield ("recipes", name, "phases", number, "mix", source), source, sources, "source"
        if recipe.base is not None and recipe.base.recipe is not None:
            yield ("recipes", name, "base", "recipe"), recipe.base.recipe, recipes, "recipe"


def with_absolute_paths(found: RecipeFile, folder: Path) -> RecipeFile:
    """Local paths as seen from the recipe file, so that a run may start anywhere."""
    sources = {}
    for name, source in found.sources.items():
        if source.kind == "hub":
            sources[name] = source
        else:
            paths = tuple(str(folder / one) for one in source.paths)
            sources[name] = source.model_copy(update={source.kind: paths})
    recipes = {}
    for name, recipe in found.recipes.items():
        base = recipe.base
        if base is not None and base.checkpoint is not None and (folder / base.checkpoint).is_dir():
            base = base.model_copy(update={"checkpoint": str(folder / base.checkpoint)})
        recipes[name] = recipe.model_copy(update={"base": base})
    return found.model_copy(update={"sources": sources, "recipes": recipes})
