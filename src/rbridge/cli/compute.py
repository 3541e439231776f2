"""rbridge compute: FLOPs of training, Pareto frontiers, and the saving factor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from rbridge.cli.choices import listed
from rbridge.cli.output import figure, print_json, print_table

if TYPE_CHECKING:
    from rbridge.answers.savings import SavingsAnswer, SavingsQuestion

compute = App(help="FLOPs of training, Pareto frontiers, and what a metric saves.")


@compute.command
def savings(
    source: Path,
    *,
    method: str,
    metric: str = "metric",
    flops: str = "flops",
    value: str = "decision_accuracy",
    score: str | None = None,
    target: str | None = None,
    recipe: str = "recipe",
    lower_is_better: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    resamples: int = 1000,
    level: float = 0.9,
    seed: int = 0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """How many times fewer FLOPs a metric needs than the best of all others, for the same value.

    The others' combined Pareto frontier is read linearly in value against log FLOPs, at every point
    of the method's own frontier; a value outside it has no saving.

    Example: rbridge compute savings points.csv --method rBridge --value decision_accuracy --json
    Example: rbridge compute savings recipes.csv --method rbridge --score score --target accuracy

    Parameters
    ----------
    source
        CSV with a row a point (metric, FLOPs, value); or, with --score, a row for each recipe at
        each checkpoint of each metric, from which decision accuracies and intervals come.
    method
        The metric whose saving is asked for.
    metric
        Column of the metric's name.
    flops
        Column of the training FLOPs.
    value
        Column of what the metric reaches; higher is better.
    score
        Column of the recipe's score, where the table is per recipe.
    target
        Column of the recipe's true value, with --score; higher is better.
    recipe
        Column of the recipe's name, with --score.
    lower_is_better
        Metrics of which lower scores are better, with --score (known metrics need not be told).
    resamples
        Resamples of recipes behind the intervals.
    level
        Confidence of the intervals.
    seed
        Of the resampling.
    json
        Print JSON instead of a table.
    """
    from rbridge.answers.savings import SavingsQuestion, answer_savings

    question = SavingsQuestion(
        source=source,
        method=method,
        metric=metric,
        flops=flops,
        value=value,
        score=score,
        target=target,
        recipe=recipe,
        lower_is_better=listed(lower_is_better),
        resamples=resamples,
        level=level,
        seed=seed,
    )
    answer = answer_savings(question)
    if json:
        print_json(_savings_document(question, answer))
    else:
        _print_savings(question, answer)
    return 0


@compute.command
def frontier(
    source: Path,
    *,
    metric: str = "metric",
    flops: str = "flops",
    value: str = "decision_accuracy",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Pareto frontier of every metric: the points that nothing cheaper reaches.

    Example: rbridge compute frontier points.csv --value decision_accuracy

    Parameters
    ----------
    source
        CSV with a row a point.
    metric
        Column of the metric's name.
    flops
        Column of the training FLOPs.
    value
        Column of what the metric reaches; higher is better.
    json
        Print JSON instead of a table.
    """
    from rbridge.answers.savings import frontiers, read_points

    points = read_points(source, metric=metric, flops=flops, value=value)
    rows = [(name, point) for name, found in frontiers(points).items() for point in found]
    if json:
        document = [{"metric": name, "flops": point.flops, "value": point.value} for name, point in rows]
        print_json({"format_version": 1, "num_points": len(points), "points": document})
    else:
        print_table(
            f"Pareto frontiers of {value} over FLOPs ({len(points)} points)",
            ("metric", "FLOPs", value),
            [(name, f"{point.flops:.4g}", f"{point.value:.6g}") for name, point in rows],
        )
    return 0


@compute.command(name="flops")
def flops_of_training(
    *,
    parameters: float | None = None,
    tokens: float | None = None,
    convention: str = "all",
    embedding_parameters: float | None = None,
    layers: int | None = None,
    width: int | None = None,
    context: int | None = None,
    ladder: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """FLOPs of a training run: 6ND, with what N counts stated.

    Example: rbridge compute flops --parameters 3.7e6 --tokens 87.3e6
    Example: rbridge compute flops --ladder --json

    Parameters
    ----------
    parameters
        N, all parameters of the model.
    tokens
        D, tokens trained on.
    convention
        all (6ND, N all parameters), non-embedding (without embedding and head), or attention
        (12 layers x width x context a token are added).
    embedding_parameters
        Of embedding and head, for non-embedding.
    layers
        Layers, for attention.
    width
        Heads times head width, for attention.
    context
        Tokens a sequence, for attention.
    ladder
        DataDecide's fourteen sizes instead, each at its whole run.
    json
        Print JSON instead of a table.
    """
    rows = _ladder_rows() if ladder else [_flops_row(
        parameters, tokens, convention, embedding_parameters, layers, width, context
    )]  # fmt: skip
    if json:
        print_json({"format_version": 1, "rows": rows})
    else:
        print_table(
            f"FLOPs of training, by the convention {rows[0]['convention']!r}: {rows[0]['meaning']}",
            ("size", "parameters", "tokens", "FLOPs"),
            [
                (row["size"] or "–", f"{row['parameters']:g}", f"{row['tokens']:g}", f"{row['flops']:.5g}")
                for row in rows
            ],
        )
    return 0


def _flops_row(
    parameters: float | None,
    tokens: float | None,
    convention: str,
    embedding_parameters: float | None,
    layers: int | None,
    width: int | None,
    context: int | None,
) -> dict[str, Any]:
    from rbridge.compute import CONVENTIONS, Architecture, training_flops
    from rbridge.errors import InputError

    if parameters is None or tokens is None or not (parameters > 0 and tokens > 0):
        raise InputError("FLOPs need --parameters and --tokens, both positive, or --ladder")
    shape = Architecture(embedding_parameters, layers, width, context)
    try:
        flops = training_flops(parameters, tokens, convention=convention, architecture=shape)
    except ValueError as error:
        raise InputError(f"--convention {convention}: {error}") from None
    return {
        "size": None,
        "parameters": parameters,
        "tokens": tokens,
        "flops": flops,
        "convention": convention,
        "meaning": CONVENTIONS[convention],
    }


def _ladder_rows() -> list[dict[str, Any]]:
    from rbridge.compute import CONVENTIONS, DATADECIDE, training_flops

    return [
        {
            "size": rung.size,
            "parameters": rung.parameters,
            "tokens": rung.tokens,
            "steps": rung.steps,
            "flops": training_flops(rung.parameters, rung.tokens),
            "convention": "all",
            "meaning": CONVENTIONS["all"],
        }
        for rung in DATADECIDE
    ]


def _savings_document(question: SavingsQuestion, answer: SavingsAnswer) -> dict[str, Any]:
    return {
        "format_version": 1,
        "method": question.method,
        "alternatives": list(answer.alternatives),
        "value": "decision_accuracy" if question.score else question.value,
        "n_points": answer.num_points,
        "n_recipes": answer.num_recipes,
        "level": question.level,
        "points": [
            {
                "value": one.point.value,
                "flops": one.point.flops,
                "alternative_flops": one.alternative_flops,
                "saving": one.saving,
                "reason": one.reason,
                "interval": ends,
                "interval_reason": answer.interval_reason if ends is None or None in ends else None,
            }
            for one, ends in zip(answer.savings, answer.intervals, strict=True)
        ],
    }


def _print_savings(question: SavingsQuestion, answer: SavingsAnswer) -> None:
    recipes = "" if answer.num_recipes is None else f", {answer.num_recipes} recipes"
    print_table(
        f"Saving of {question.method} over the best of {len(answer.alternatives)} other metrics "
        f"({answer.num_points} points{recipes}); no saving = 1",
        (question.value, "FLOPs", "alternative FLOPs", "saving", f"{question.level:.0%} interval"),
        [
            (
                f"{one.point.value:.4g}",
                f"{one.point.flops:.4g}",
                f"{one.alternative_flops:.4g}" if one.alternative_flops else one.reason or "–",
                "–" if one.saving is None else f"{one.saving:.1f}x",
                answer.interval_reason or "–"
                if ends is None
                else f"[{figure(ends[0], 1)}, {figure(ends[1], 1)}]",
            )
            for one, ends in zip(answer.savings, answer.intervals, strict=True)
        ],
        text_columns=0,
    )
