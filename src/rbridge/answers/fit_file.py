"""Read a fit back from its file, and fit its rows again, so that intervals can be asked of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rbridge.answers.fit_document import FORMAT_VERSION
from rbridge.errors import InputError
from rbridge.fit import (
    ChosenCurve,
    LinearFit,
    PaperCurve,
    choose_curve,
    dependence_of,
)

_Rows = Float[np.ndarray, " rows"]


@dataclass(frozen=True)
class StoredGroup:
    """One group of a stored fit.

    Attributes:
        group: the value of each column that was grouped by.
        model: what predicts: a guarded fit, a curve of the paper's, mixture weights, or the reason
            why there is none.
        num_rows: fitted.
        x_range: of the proxies; None of mixtures.
        recipes: fitted, or None where the table named none.
        num_recipes: distinct ones; rows where the table named none.
        tokenizers: of the fitted rows, as far as they were named.
    """

    group: Mapping[str, str]
    model: ChosenCurve | PaperCurve | LinearFit | str
    num_rows: int
    x_range: tuple[float, float] | None
    recipes: frozenset[str] | None
    num_recipes: int
    tokenizers: frozenset[str]


@dataclass(frozen=True)
class StoredFit:
    """A fit from ``rbridge fit -o``.

    Attributes:
        kind: ``proxy`` or ``mixture``.
        proxy: column of the score; None of mixtures.
        lower: lower proxies are better.
        target: what is predicted.
        features: columns of the mixture weights; empty of proxies.
        level: of intervals.
        groups: of the fit.
    """

    kind: str
    proxy: str | None
    lower: bool
    target: str
    features: tuple[str, ...]
    level: float
    groups: tuple[StoredGroup, ...]


def read_fit(path: Path) -> StoredFit:
    """A fit from its file.

    Raises:
        InputError: no such file, not a fit, of a newer format, or rows that no longer give its curve.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected the -o file of rbridge fit")
    try:
        document = json.loads(path.read_bytes())
        if document["format_version"] > FORMAT_VERSION:
            raise InputError(
                f"{path}: format {document['format_version']}; this rbridge reads up to {FORMAT_VERSION}"
            )
        return _stored(path, document)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path}: not a fit ({type(error).__name__}: {error}); expected the -o file of rbridge fit"
        ) from None


def _stored(path: Path, document: Mapping[str, Any]) -> StoredFit:
    mixture = document["kind"] == "mixture"
    groups = document["groups"]
    return StoredFit(
        kind=document["kind"],
        proxy=None if mixture else document["proxy"],
        lower=not mixture and document["direction"] == "lower",
        target=document["target"],
        features=tuple(groups[0]["features"]) if mixture else (),
        level=document["level"],
        groups=tuple(
            _mixture_group(group) if mixture else _proxy_group(path, group, document["protocol"])
            for group in groups
        ),
    )


def _mixture_group(group: Mapping[str, Any]) -> StoredGroup:
    model: LinearFit | str = group["reason"] or ""
    if group["reason"] is None:
        centre = np.array(group["centre"])
        coefficients = np.array([group["coefficients"][name] for name in group["features"]])
        model = LinearFit(
            centre,
            coefficients,
            group["intercept"] + float(centre @ coefficients),
            np.array(group["covariance"]),
            group["variance"],
            group["freedom"],
            group["n"],
        )
    return StoredGroup(group["group"], model, group["n"], None, None, group["n"], frozenset())


def _proxy_group(path: Path, group: Mapping[str, Any], protocol: str) -> StoredGroup:
    points = group["points"]
    recipes = points["recipes"]
    proxy = np.array(points["proxy"], dtype=np.float64)
    return StoredGroup(
        group["group"],
        _model(path, group, protocol, proxy),
        group["n"],
        (float(proxy.min()), float(proxy.max())) if len(proxy) else None,
        None if recipes is None else frozenset(recipes),
        len(proxy) if recipes is None else len(set(recipes)),
        frozenset(points["tokenizers"]),
    )


def _model(
    path: Path, group: Mapping[str, Any], protocol: str, proxy: _Rows
) -> ChosenCurve | PaperCurve | str:
    if group["reason"] is not None:
        return str(group["reason"])
    if protocol == "paper":
        return PaperCurve(group["family"], tuple(group["coefficients"]))
    points = group["points"]
    fit = choose_curve(
        proxy,
        np.array(points["target"], dtype=np.float64),
        dependence=dependence_of(points["recipes"], len(proxy), ordered=points["clock"] is not None),
        bounds=None if group["bounds"] is None else (group["bounds"][0], group["bounds"][1]),
    )
    # The curve is found again from its rows; another version of us may choose another, and must say so.
    same = fit.curve.family.name == group["family"] and all(
        math.isclose(new, old, rel_tol=1e-4, abs_tol=1e-6)
        for new, old in zip(fit.curve.coefficients, group["coefficients"], strict=True)
    )
    if not same:
        raise InputError(
            f"{path}: its rows now give {fit.curve.family.name} {fit.curve.coefficients}, not the stored "
            f"{group['family']}; fit again with this version of rbridge"
        )
    return fit
