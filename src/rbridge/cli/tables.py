"""The same results as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from rbridge.align import reasoning_confidence
from rbridge.answers.scores import score_rows
from rbridge.cli.output import figure, interval, print_table, say
from rbridge.metric import Mean
from rbridge.records import Trace

if TYPE_CHECKING:
    from rbridge.answers.rank import RankedGroup
    from rbridge.scoring.verify import Verified
    from rbridge.store.runs import Run

_SHOWN = ("rbridge", "rbridge_unnormalised", "trace_nll", "trace_bits_per_byte")


def print_scores(runs: Sequence[Run]) -> None:
    """Means and standard errors, a row per checkpoint, benchmark, voice and shots."""
    rows = [row for run in runs for row in score_rows(run, run.scored())]
    print_table(
        "Scores (lower is better; mean ± standard error over traces)",
        ("checkpoint", "benchmark", "voice", "weights", "shots", "scored", "skipped", *_SHOWN),
        [
            (
                _shortened(row.checkpoint),
                row.benchmark,
                row.voice,
                row.weight_source or "–",
                str(row.shots),
                str(row.num_scored),
                str(row.num_skipped),
                *[_mean(row.means.get(name)) for name in _SHOWN],
            )
            for row in rows
        ],
        text_columns=4,
    )
    for row in rows:
        for skip in row.skipped[:3]:
            say(f"skipped {row.benchmark}/{skip.problem_id} for {row.checkpoint}: {skip.reason}")
        if row.num_skipped > 3:
            say(f"skipped {row.num_skipped - 3} more of {row.benchmark} (all of them: rbridge show --items)")


def print_verified(found: Sequence[Verified]) -> None:
    """A row a run: what was scored again, and how far it is from what is stored."""
    print_table(
        "Verified (largest difference of a token's loss, nats)",
        ("checkpoint", "run", "items", "tokens", "difference", "allowed", ""),
        [
            (
                _shortened(one.run.manifest.checkpoint),
                one.run.folder.name,
                str(one.num_items),
                str(one.num_tokens),
                f"{one.max_difference:.1e}",
                f"{one.tolerance:.1e}",
                "holds" if one.holds else "DIFFERS",
            )
            for one in found
        ],
        text_columns=2,
    )


def _mean(found: Mean | None) -> str:
    if found is None:
        return "–"
    return f"{found.mean:.4f}" + ("" if found.stderr is None else f" ± {found.stderr:.4f}")


def _shortened(name: str, width: int = 40) -> str:
    return name if len(name) <= width else f"…{name[1 - width :]}"


def print_items(documents: Iterable[Mapping[str, Any]]) -> None:
    """A row per trace."""
    print_table(
        "Traces",
        ("checkpoint", "benchmark", "problem", "voice", "shots", "tokens", *_SHOWN, "reason"),
        [
            (
                _shortened(row["checkpoint"]),
                row["benchmark"],
                row["problem_id"],
                row["voice"],
                str(row["shots"]),
                str(row["num_tokens"] or "–"),
                *[figure(row[name]) for name in _SHOWN],
                row.get("reason", ""),
            )
            for row in documents
        ],
        text_columns=4,
    )


def print_tokens(documents: Iterable[Mapping[str, Any]]) -> None:
    """A row per token of one trace."""
    print_table(
        "Tokens (nats; bytes of the trace)",
        ("checkpoint", "token", "bytes", "nll", "weight", "minmax weight"),
        [
            (
                _shortened(row["checkpoint"]),
                str(row["token"]),
                f"{row['start']}–{row['end']}",
                figure(row["nll"]),
                figure(row["weight"]),
                figure(row["minmax_weight"]),
            )
            for row in documents
        ],
    )


def print_trace(trace: Trace) -> None:
    """A trace's text, each byte's character shaded by the probability of the piece that holds it."""
    confidence = reasoning_confidence(trace)
    whose = {None: "no weights", "self": "the writer's own probabilities"}.get(
        trace.weight_source, f"weights: {trace.weight_source}, not the writer"
    )
    console = Console(highlight=False)
    console.print(Text(f"{trace.key}  answer {trace.answer or '–'}  ({whose})", style="bold"))
    question = trace.prompt or trace.question
    if question:
        console.print(Text("".join(map(_visible, question)), style="dim"))
    text, at = Text(), 0
    for char in trace.reasoning:
        probability = None if confidence is None else float(confidence[at])
        text.append(_visible(char), style=_shade(probability))
        at += len(char.encode())
    console.print(text)
    console.print()


def _visible(char: str) -> str:
    """A control character as its picture: a trace must not steer the terminal it is shown in."""
    return chr(0x2400 + ord(char)) if ord(char) < 32 and char not in "\n\t" else char


def _shade(probability: float | None) -> str:
    """Grey background where the weight model was sure, none where it was not."""
    if probability is None:
        return ""
    level = round(235 + 14 * probability)  # 235 to 249: the terminal's 256-colour greys
    return f"on color({level}) {'black' if probability > 0.5 else 'white'}"


def print_rankings(groups: Sequence[RankedGroup]) -> None:
    """A table per group, with what its figures rest on underneath."""
    for group in groups:
        _print_ranking(group)


def _print_ranking(group: RankedGroup) -> None:
    ranking = group.ranking
    where = ", ".join(f"{key} {value}" for key, value in group.group.items()) or "all rows"
    direction = "lower" if group.lower_is_better else "higher"
    percent = f"{ranking.level:.0%}"
    print_table(
        f"{where}: {len(ranking.order)} recipes by {group.proxy} ({direction} is better)",
        (
            "recipe",
            "rank",
            "possible ranks",
            group.proxy,
            f"{percent} interval",
            "seeds",
            "beats next",
            "tied with",
        )
        + ((group.target or "target",) if group.targets is not None else ()),
        [
            (
                row.recipe,
                str(row.rank),
                "–" if row.rank_set is None else f"{row.rank_set[0]}–{row.rank_set[1]}",
                figure(row.value),
                interval(row.interval),
                str(row.num_seeds),
                _beats_next(group, place),
                "–" if row.tied_with is None else str(len(row.tied_with)),
            )
            + (() if group.targets is None else (figure(group.targets.get(row.recipe)),))
            for place, row in enumerate(ranking.order)
        ],
    )
    for line in _footnotes(group):
        print(f"  {line}")
    print()


def _beats_next(group: RankedGroup, place: int) -> str:
    wins = group.ranking.win_probability
    if wins is None or place + 1 >= len(wins):
        return "–"
    return f"{wins[place, place + 1]:.0%}"


def _footnotes(group: RankedGroup) -> Iterable[str]:
    ranking = group.ranking
    if ranking.resampled:
        yield (
            f"{ranking.resamples} paired resamples of {' and '.join(ranking.resampled)} ({ranking.num_items} items); "
            "possible ranks hold for all recipes at once"
        )
    else:
        yield "no replicates: one row a recipe, so no interval"
    if group.num_dropped:
        yield f"{group.num_dropped} rows or items left out (empty cells, or not scored for every recipe)"
    yield from group.notes
    found = group.agreement
    if found is not None and found.decision_accuracy is not None:
        tau = "–" if found.kendall_tau is None else f"{found.kendall_tau:.3f} (p {found.p_value:.3f}, null 0)"
        one = "" if found.one_seed is None else f"; one seed: {found.one_seed:.3f}"
        yield (
            f"against {group.target}: decision accuracy {found.decision_accuracy:.3f} "
            f"{interval(found.interval, 3)} (chance 0.5{one}), Kendall tau {tau}; "
            f"{found.num_recipes} recipes, {found.num_pairs} pairs, {found.num_ties} tied"
        )
    if found is not None and found.reason:
        yield f"no Kendall tau: {found.reason}"
