"""rbridge plan: the two-stage search, and which proxy to train next."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from rbridge.cli.choices import listed
from rbridge.cli.output import figure, interval, print_json, print_table, say
from rbridge.errors import InputError

if TYPE_CHECKING:
    from rbridge.answers.plans import NextGroup, Stage
    from rbridge.plan import Choice, TwoStage

FORMAT_VERSION = 1
_SUFFIX = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_NUMBER = r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)([KMBT]?)"

plan = App(
    help="Plan what to train: the two-stage search, and which proxy to train next.", help_format="plaintext"
)


@plan.command
def search(
    *,
    recipes: int,
    stage1: str,
    stage2: str,
    target_cost: str,
    stage1_accuracy: float | None = None,
    stage2_accuracy: float | None = None,
    pilot: Path | None = None,
    stage1_column: str | None = None,
    stage2_column: str | None = None,
    target: str | None = None,
    lower: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    shared_error: float = 0.0,
    survive: float = 0.9,
    worlds: int = 40_000,
    seed: int = 0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """How many recipes to keep after stage 1 of the two-stage search: chances, regret and cost for every k.

    Example: rbridge plan search --recipes 25 --stage1 3.7Mx0.09B --stage2 1.2Bx100B --target-cost 7Bx1T
    --stage1-accuracy 0.757 --stage2-accuracy 0.87

    Parameters
    ----------
    recipes
        Candidate recipes N.
    stage1
        Cost of a recipe's stage-1 proxy: FLOPs, or PARAMETERSxTOKENS (6ND), such as 3.7Mx0.4B.
    stage2
        Cost of a recipe's stage-2 proxy.
    target_cost
        Cost of one training run at target size.
    stage1_accuracy
        Published decision accuracy of the stage-1 score against the target.
    stage2_accuracy
        Published decision accuracy of the stage-2 score against the target.
    pilot
        CSV of recipes with known targets, instead of published accuracies: recipe, scores, target.
    stage1_column
        Column of the pilot that stage 1 ranks by.
    stage2_column
        Column of the pilot that stage 2 ranks by.
    target
        Column of the pilot with the truth.
    lower
        Columns of which lower is better (known metrics need not be told).
    shared_error
        Correlation of the two stages' errors: what misleads a small proxy may mislead a larger one.
    survive
        Wanted chance that the best recipe survives stage 1.
    worlds
        Simulated searches.
    seed
        Of the simulation.
    json
        Print JSON instead of a table.
    """
    import numpy as np

    from rbridge.plan import Costs, two_stage

    first, spread = _stage(stage1_accuracy, pilot, stage1_column, target, lower, which="stage1")
    second, other_spread = _stage(stage2_accuracy, pilot, stage2_column, target, lower, which="stage2")
    costs = Costs(
        _flops(stage1, "--stage1"), _flops(stage2, "--stage2"), _flops(target_cost, "--target-cost")
    )
    found = two_stage(
        recipes,
        first.correlation,
        second.correlation,
        costs,
        rng=np.random.default_rng(seed),
        survive=survive,
        shared_error=shared_error,
        worlds=worlds,
    )
    sd = spread if spread is not None else other_spread
    if json:
        print_json(_search_document(found, first, second, sd, shared_error, survive))
    else:
        _print_search(found, first, second, sd, survive)
    return 0


@plan.command(name="next")
def next_proxy(
    source: Path,
    *,
    proxy: str = "rbridge",
    lower_is_better: Annotated[bool, Parameter(negative="")] = False,
    higher_is_better: Annotated[bool, Parameter(negative="")] = False,
    by: Annotated[tuple[str, ...], Parameter(negative="")] = ("benchmark",),
    seed_sd: float | None = None,
    budget: int | None = None,
    level: float = 0.95,
    power: float = 0.8,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Which proxy to train next, and how many seeds or traces would tell each recipe from the leader.

    Example: rbridge plan next runs --proxy rbridge --budget 50

    Parameters
    ----------
    source
        A folder of score runs, or a CSV with one row an observation (recipe, seed, the proxy's column).
    proxy
        Metric of the runs, or column of the CSV.
    lower_is_better
        Lower values of the proxy are better (known metrics need not be told).
    higher_is_better
        Higher values of the proxy are better.
    by
        Columns that split the table.
    seed_sd
        Standard deviation of one seed about its recipe; estimated from the seeds if left out.
    budget
        Proxies that can be trained, for a schedule of sequential halving.
    level
        Of the test that tells two recipes apart.
    power
        Chance that the test finds the difference.
    json
        Print JSON instead of tables.
    """
    from rbridge.answers.plans import NextQuestion, next_groups

    groups = next_groups(
        NextQuestion(
            source=source,
            proxy=proxy,
            lower=lower_is_better,
            higher=higher_is_better,
            by=listed(by),
            seed_sd=seed_sd,
            budget=budget,
            level=level,
            power=power,
        )
    )
    if json:
        print_json(
            {"format_version": FORMAT_VERSION, "groups": [_next_document(group, proxy) for group in groups]}
        )
        return 0
    for group in groups:
        _print_next(group, proxy)
    return 0


def _stage(
    accuracy: float | None,
    pilot: Path | None,
    column: str | None,
    target: str | None,
    lower: tuple[str, ...],
    *,
    which: str,
) -> tuple[Stage, float | None]:
    from rbridge.answers.plans import pilot_stage, stated_stage

    if accuracy is not None:
        if column is not None:
            raise InputError(f"--{which}-accuracy and --{which}-column: give one of them")
        return stated_stage(accuracy), None
    if pilot is None or column is None or target is None:
        raise InputError(
            f"how well {which} follows the target is unknown: give --{which}-accuracy, or "
            f"--pilot FILE.csv with --{which}-column and --target"
        )
    return pilot_stage(pilot, column, target, lower)


def _flops(text: str, option: str) -> float:
    """FLOPs, or parameters x tokens as 6ND."""
    plain = re.fullmatch(_NUMBER, text)
    both = re.fullmatch(f"{_NUMBER}[x*]{_NUMBER}", text)
    if plain:
        value = float(plain[1]) * _SUFFIX[plain[2]]
    elif both:
        value = 6 * float(both[1]) * _SUFFIX[both[2]] * float(both[3]) * _SUFFIX[both[4]]
    else:
        raise InputError(f"{option} {text!r}: expected FLOPs (1.3e16) or PARAMETERSxTOKENS (3.7Mx0.4B)")
    if value <= 0:
        raise InputError(f"{option} {text!r}: a cost is above 0")
    return value


def _stage_document(stage: Stage) -> dict[str, Any]:
    return {
        "correlation": stage.correlation.value,
        "decision_accuracy": stage.correlation.decision_accuracy,
        "num_recipes": stage.correlation.num_recipes,
        "known_from": stage.known_from,
    }


def _search_document(
    found: TwoStage, first: Stage, second: Stage, sd: float | None, shared_error: float, survive: float
) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "n_recipes": len(found.choices),
        "stage1": _stage_document(first),
        "stage2": _stage_document(second),
        "shared_error": shared_error,
        "survive": survive,
        "regret_unit": "standard deviations of the target over recipes",
        "target_sd": sd,
        "recommended": found.recommended,
        "null": {"regret": found.random_regret, "best_chosen": 1 / len(found.choices)},
        "worlds": found.worlds,
        "choices": [asdict(choice) for choice in found.choices],
    }


def _print_search(found: TwoStage, first: Stage, second: Stage, sd: float | None, survive: float) -> None:
    title = f"Two-stage search over {len(found.choices)} recipes ({found.worlds} simulated searches)"
    shown = [choice for choice in found.choices if choice.kept <= max(10, found.recommended + 2)]
    print_table(
        title,
        (
            "keep",
            "best survives",
            "90% interval",
            "best chosen",
            "regret (sd)",
            "90% interval",
            "FLOPs",
            "saving",
        ),
        [_search_row(choice, found.recommended) for choice in shown],
    )
    for number, stage in (("1", first), ("2", second)):
        print(
            f"  stage {number}: decision accuracy {stage.correlation.decision_accuracy:.3f}, correlation "
            f"{stage.correlation.value:.3f} ({stage.known_from})"
        )
    in_units = "" if sd is None else f"; one sd is {sd:.4g} of the target on the pilot"
    print(
        f"  null, a recipe picked blindly: best chosen {1 / len(found.choices):.1%}, "
        f"regret {found.random_regret:.3f} sd{in_units}"
    )
    print(
        f"Keep {found.recommended}: the fewest with which the best recipe survives in {survive:.0%} of searches."
    )
    if first.correlation.num_recipes is None:
        say("intervals are left out: a stated decision accuracy is taken as known; a pilot gives them")


def _search_row(choice: Choice, recommended: int) -> tuple[str, ...]:
    return (
        f"{choice.kept}{' *' if choice.kept == recommended else ''}",
        f"{choice.best_survives:.1%}",
        interval(choice.best_survives_interval, 2),
        f"{choice.best_chosen:.1%}",
        figure(choice.regret, 3),
        interval(choice.regret_interval, 2),
        f"{choice.flops:.3g}",
        f"{choice.saving:.3g}x",
    )


def _next_document(group: NextGroup, proxy: str) -> dict[str, Any]:
    return {
        "group": dict(group.group),
        "proxy": proxy,
        "direction": "lower" if group.lower_is_better else "higher",
        "n_recipes": len(group.order),
        "leader": group.leader,
        "seed_sd": group.seed_sd,
        "train_next": group.order[0].recipe,
        "order": [asdict(row) for row in group.order],
        "halving": None if group.halving is None else [asdict(one) for one in group.halving],
        "notes": list(group.notes),
    }


def _print_next(group: NextGroup, proxy: str) -> None:
    where = ", ".join(f"{key} {value}" for key, value in group.group.items()) or "all rows"
    print_table(
        f"{where}: what one more seed of each recipe is worth ({proxy}, "
        f"{'lower' if group.lower_is_better else 'higher'} is better)",
        (
            "recipe",
            "seeds",
            "value",
            "shrunken",
            "gain",
            "seeds to tell from leader",
            "traces to tell from leader",
        ),
        [
            (
                row.recipe + (" (leader)" if row.recipe == group.leader else ""),
                str(row.num_seeds),
                figure(row.value),
                figure(row.shrunken),
                f"{row.gain:.3g}",
                "–" if row.seeds_needed is None else str(row.seeds_needed.needed or "none"),
                "–" if row.traces_needed is None else str(row.traces_needed.needed or "none"),
            )
            for row in group.order
        ],
    )
    print(
        f"  one seed varies by {group.seed_sd:.4g} (sd) about its recipe; gain: expected fall in regret of choosing now"
    )
    for round_number, one in enumerate(group.halving or (), start=1):
        print(
            f"  halving, round {round_number}: {one.seeds} more of each of the {one.recipes} best, then keep half"
        )
    print(f"Train next: {group.order[0].recipe}.")
    for note in group.notes:
        say(f"note: {note}")
