"""``rbridge rank`` for people: a table a group, and what its figures rest on underneath."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rbridge.answers.beside import Beheld, Beside
from rbridge.answers.called import called_pairs
from rbridge.answers.combined import Combined
from rbridge.answers.contaminated import Known
from rbridge.answers.declared import Status
from rbridge.answers.rank import RankedGroup
from rbridge.cli.output import figure, interval, print_table
from rbridge.rank import Agreement, Components, Decisions, Ranking
from rbridge.rank.combine import RULE


def print_rankings(
    groups: Sequence[Beheld], statuses: Sequence[Status], combined: Sequence[Combined], known: Sequence[Known]
) -> None:
    """A table per group: first whether anything is gained, last what the figures rest on."""
    for one, status, seen in zip(groups, statuses, known, strict=True):
        where = ", ".join(f"{key} {value}" for key, value in one.ranked.group.items()) or "all rows"
        print(f"{one.ranked.proxy}: {one.headline.text}")
        for reason in () if one.style is None else one.style.reasons:
            print(f"style: {reason}")
        equal = () if status.within_margin is None else status.within_margin[1:]
        more = () if not equal else (f"within the declared margin of the first: {', '.join(equal)}",)
        print_ranking(one.ranked, where, (status.text, *more, *seen.lines()))
        if one.beside:
            _print_beside(one)
    for one in combined:
        rest = "".join(f", {key} {value}" for key, value in one.ranked.group.items())
        print_ranking(one.ranked, f"{len(one.benchmarks)} benchmarks{rest}", [*_combined_lines(one)])


def _combined_lines(one: Combined) -> Iterator[str]:
    yield RULE
    for left in one.left_out:
        tau = "no tau" if left.kendall_tau is None else f"tau {left.kendall_tau:.2f} with all"
        yield f"without {left.benchmark}: {left.best} leads{' instead' if left.changed_best else ''}, {tau}"


def _print_beside(one: Beheld) -> None:
    print_table(
        f"Beside {one.ranked.proxy}, on the same recipes",
        (
            "order by",
            "kind",
            "better",
            "tau with it",
            "signal to noise",
            "decision accuracy",
            "gain over it",
            "note",
        ),
        [_beside_row(other) for other in one.beside],
        text_columns=3,
    )


def _beside_row(other: Beside) -> tuple[str, ...]:
    agreement, components = other.ranked.agreement, other.ranked.ranking.components
    ratio = None if components is None else components.signal_to_noise
    accuracy = None if agreement is None else agreement.decision_accuracy
    return (
        other.ranked.proxy,
        other.kind,
        "lower" if other.ranked.lower_is_better else "higher",
        "–" if other.kendall_tau is None else f"{other.kendall_tau:.2f} ({other.num_recipes})",
        "–" if ratio is None else f"{ratio:.2f}",
        "–" if agreement is None or accuracy is None else f"{accuracy:.3f} {interval(agreement.interval, 3)}",
        "–" if other.gain is None else f"{other.gain:+.3f} {interval(other.gain_interval, 3)}",
        other.ranked.abstain or "",
    )


def print_ranking(group: RankedGroup, where: str, more: Iterable[str] = ()) -> None:
    """One ranking alone.

    Args:
        group: the ranking.
        where: its title.
        more: lines under it.
    """
    ranking = group.ranking
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
                "–" if group.abstain else str(row.rank),
                "–" if row.rank_set is None or group.abstain else f"{row.rank_set[0]}–{row.rank_set[1]}",
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
    for line in (*_footnotes(group), *more):
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
    yield from _selection(ranking)
    if ranking.components is not None:
        yield from _sources(ranking.components)
    if group.agreement is not None:
        yield from _against(group, group.agreement)
    if group.decisions is not None:
        yield from _held(group.decisions, group)
    if (called := called_pairs(group)) is not None:
        yield called


def _selection(ranking: Ranking) -> Iterator[str]:
    regret = ranking.regret
    if regret is None:
        return
    percent = f"{ranking.level:.0%}"
    names = ", ".join(row.recipe for row in ranking.order if row.may_be_best)
    condition = " (these checkpoints)" if ranking.noise is None else ""
    yield f"cannot be excluded as best ({percent}): {names}"
    yield (
        f"taking {regret.recipe}: expected regret {figure(regret.expected)}, {percent} under "
        f"{figure(regret.upper)}{condition}; its value is flattered by {figure(regret.flattered)}"
    )


def _sources(found: Components) -> Iterator[str]:
    names = ("recipe", "seed", "problem", "recipe_problem", "residual", "noise")
    known = [(name.replace("_", " x "), getattr(found, name)) for name in names]
    spread = ", ".join(f"{name} {figure(value)}" for name, value in known if value is not None)
    if not spread:
        return
    ratio = "" if found.signal_to_noise is None else f"; signal to noise {found.signal_to_noise:.2f}"
    yield f"standard deviations: {spread}{ratio}"
    yield f"buy next: {found.buy} ({found.why})"


def _against(group: RankedGroup, found: Agreement) -> Iterator[str]:
    if found.decision_accuracy is not None:
        tau = "–" if found.kendall_tau is None else f"{found.kendall_tau:.3f} (p {found.p_value:.3f}, null 0)"
        one = "" if found.one_seed is None else f"; one seed: {found.one_seed:.3f}"
        yield (
            f"against {group.target}: decision accuracy {found.decision_accuracy:.3f} "
            f"{interval(found.interval, 3)} (chance 0.5{one}), Kendall tau {tau}; "
            f"{found.num_recipes} recipes, {found.num_pairs} pairs, {found.num_ties} tied"
        )
        if group.items_interval is not None:
            tau = "" if group.tau_items_interval is None else f", tau {interval(group.tau_items_interval, 3)}"
            yield (
                f"its interval over {' and '.join(group.ranking.resampled)} alone: "
                f"{interval(group.items_interval, 3)}{tau}"
            )
    if found.reason:
        yield f"no Kendall tau: {found.reason}"


def _held(found: Decisions, group: RankedGroup) -> Iterator[str]:
    if found.num_resolved is None:
        yield "noise of the targets not known, so no pair is left out as unresolved and no ceiling is given"
    else:
        accuracy = "–" if found.resolved_accuracy is None else f"{found.resolved_accuracy:.3f}"
        yield (
            f"pairs with a target gap of {found.z:g} standard errors ({group.target_noise_rule}): "
            f"{found.num_resolved}, decision accuracy {accuracy} {interval(found.resolved_interval, 3)}; "
            f"a perfect score is expected to reach {found.ceiling:.3f} on all pairs"
        )
    if found.share_decided is not None:
        right = "" if found.decided_accuracy is None else f", of them right {found.decided_accuracy:.3f}"
        yield f"pairs told apart: {found.num_decided} ({found.share_decided:.0%}){right}"
    if found.brier is not None:
        bins = "; ".join(f"{b.stated:.2f} stated, {b.found:.2f} found ({b.num_pairs})" for b in found.bins)
        yield f"stated probabilities: Brier {found.brier:.3f} (a coin 0.25); {bins}"
    top = "; ".join(f"{one.recall:.0%} of the top {one.k} (chance {one.null:.0%})" for one in found.top)
    yield (
        f"regret of the first: {figure(found.regret)} of target (a random recipe {figure(found.regret_null)})"
        f"{'; ' + top if top else ''}"
    )
