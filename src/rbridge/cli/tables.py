"""The same results as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from rich.console import Console
from rich.text import Text

from rbridge.align import reasoning_confidence, weighed_by, weight_sources, whose_weights
from rbridge.answers.scores import score_rows
from rbridge.cli.output import figure, print_table, say
from rbridge.metric import Mean
from rbridge.records import Trace

if TYPE_CHECKING:
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
        ("checkpoint", "benchmark", "problem", "voice", "weights", "shots", "tokens", *_SHOWN, "reason"),
        [
            (
                _shortened(row["checkpoint"]),
                row["benchmark"],
                row["problem_id"],
                row["voice"],
                row.get("weight_source") or "–",
                str(row["shots"]),
                str(row["num_tokens"] or "–"),
                *[figure(row[name]) for name in _SHOWN],
                row.get("reason", ""),
            )
            for row in documents
        ],
        text_columns=5,
    )


def print_tokens(documents: Iterable[Mapping[str, Any]]) -> None:
    """A row per token of one trace."""
    print_table(
        "Tokens (nats; bytes of the trace)",
        ("checkpoint", "voice", "weights", "token", "bytes", "nll", "weight", "minmax weight"),
        [
            (
                _shortened(row["checkpoint"]),
                row["voice"],
                row["weight_source"] or "–",
                str(row["token"]),
                f"{row['start']}–{row['end']}",
                figure(row["nll"]),
                figure(row["weight"]),
                figure(row["minmax_weight"]),
            )
            for row in documents
        ],
        text_columns=3,
    )


def print_trace(trace: Trace) -> None:
    """A trace's text, once for each source of weights, shaded by the probability of the piece at each place."""
    console = Console(highlight=False)
    console.print(Text(f"{trace.key}  answer {trace.answer or '–'}", style="bold"))
    question = trace.prompt or trace.question
    if question:
        console.print(Text("".join(map(_visible, question)), style="dim"))
    for source in weight_sources(trace) or ("none",):
        console.print(Text(f"{whose_weights([source])}:", style="bold"))
        console.print(_shaded(trace.reasoning, reasoning_confidence(weighed_by(trace, source))))
    console.print()


def _shaded(reasoning: str, confidence: Float[np.ndarray, " bytes"] | None) -> Text:
    text, at = Text(), 0
    for char in reasoning:
        probability = None if confidence is None else float(confidence[at])
        text.append(_visible(char), style=_shade(probability))
        at += len(char.encode())
    return text


def _visible(char: str) -> str:
    """A control character as its picture: a trace must not steer the terminal it is shown in."""
    return chr(0x2400 + ord(char)) if ord(char) < 32 and char not in "\n\t" else char


def _shade(probability: float | None) -> str:
    """Grey background where the weight model was sure, none where it was not."""
    if probability is None:
        return ""
    level = round(235 + 14 * probability)  # 235 to 249: the terminal's 256-colour greys
    return f"on color({level}) {'black' if probability > 0.5 else 'white'}"
