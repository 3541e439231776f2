"""The JSON shape of ``rbridge rank`` (interfaces.md). Keys may be added, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rbridge.answers.against import by_names
from rbridge.answers.beside import Beheld, Beside
from rbridge.answers.combined import Combined
from rbridge.answers.contaminated import Known
from rbridge.answers.declared import Status
from rbridge.answers.rank import RankedGroup
from rbridge.rank import Agreement, Calls, Components, Decisions, Ranking, Relation
from rbridge.rank.combine import RULE

FORMAT_VERSION = 1


def rank_document(
    groups: Sequence[Beheld],
    statuses: Sequence[Status],
    combined: Sequence[Combined],
    known: Sequence[Known],
) -> dict[str, Any]:
    """What ``rbridge rank --json`` prints."""
    return {
        "format_version": FORMAT_VERSION,
        "groups": [
            {**_rank_group(one.ranked), **_beheld(one), "declaration": asdict(status), **more.document()}
            for one, status, more in zip(groups, statuses, known, strict=True)
        ],
        "combined": [_combined(one) for one in combined],
    }


def _beheld(one: Beheld) -> dict[str, Any]:
    return {
        "headline": {"gain_shown": one.headline.shown, "text": one.headline.text},
        "beside": [_beside(other) for other in one.beside],
        "style": None if one.style is None else asdict(one.style),
    }


def _beside(other: Beside) -> dict[str, Any]:
    agreement, components = other.ranked.agreement, other.ranked.ranking.components
    return {
        "proxy": other.ranked.proxy,
        "kind": other.kind,
        "direction": "lower" if other.ranked.lower_is_better else "higher",
        "values": {row.recipe: row.value for row in other.ranked.ranking.order},
        "abstain": other.ranked.abstain,
        "n_recipes": other.num_recipes,
        "kendall_tau": other.kendall_tau,
        "signal_to_noise": None if components is None else components.signal_to_noise,
        "decision_accuracy": None if agreement is None else agreement.decision_accuracy,
        "decision_accuracy_interval": None if agreement is None else agreement.interval,
        "gain": other.gain,
        "gain_interval": other.gain_interval,
    }


def _combined(one: Combined) -> dict[str, Any]:
    return {
        **_rank_group(one.ranked),
        "benchmarks": list(one.benchmarks),
        "rule": RULE,
        "leave_one_out": [asdict(left) for left in one.left_out],
    }


def _rank_group(group: RankedGroup) -> dict[str, Any]:
    document: dict[str, Any] = {
        "group": dict(group.group),
        "proxy": group.proxy,
        "direction": "lower" if group.lower_is_better else "higher",
        "n_recipes": len(group.ranking.order),
        "n_items": group.ranking.num_items,
        "num_dropped": group.num_dropped,
        "level": group.ranking.level,
        "resamples": group.ranking.resamples,
        "resampled": list(group.ranking.resampled),
        "notes": list(group.notes),
        "order": _order(group),
        "abstain": group.abstain,
        "selection": _selection(group.ranking),
        "components": _components(group.ranking.components),
    }
    if group.ranking.win_probability is not None:
        names = [row.recipe for row in group.ranking.order]
        document["win_probability"] = by_names(names, group.ranking.win_probability)
    if group.target_probability is not None:
        document["target_probability"] = group.target_probability
    if group.calls is not None and group.relation is not None:
        document["calls"] = _calls(group.relation, group.calls)
    if group.agreement is not None:
        document["target"] = group.target
        document["target_direction"] = "lower" if group.target_lower_is_better else "higher"
        document["agreement"] = {
            **_agreement(group.agreement),
            "decision_accuracy_items_interval": group.items_interval,
            "kendall_tau_items_interval": group.tau_items_interval,
            **_decisions(group.decisions, group.target_noise_rule),
        }
    return document


def _selection(ranking: Ranking) -> dict[str, Any] | None:
    if ranking.regret is None:
        return None
    return {
        "chosen": ranking.regret.recipe,
        "cannot_be_excluded_as_best": [row.recipe for row in ranking.order if row.may_be_best],
        "expected_regret": ranking.regret.expected,
        "regret_upper": ranking.regret.upper,
        "flattered": ranking.regret.flattered,
        "conditional_on_checkpoints": ranking.noise is None,
    }


def _components(found: Components | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "sd": {
            name: getattr(found, name)
            for name in ("recipe", "seed", "problem", "recipe_problem", "residual", "noise")
        },
        "noise_shares": found.shares,
        "signal_to_noise": found.signal_to_noise,
        "reliability": found.reliability,
        "buy_next": found.buy,
        "why": found.why,
    }


def _decisions(found: Decisions | None, rule: str | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "target_noise": rule,
        "unresolved_rule": f"|gap| < {found.z:g} standard errors of the difference",
        "num_resolved": found.num_resolved,
        "resolved_decision_accuracy": found.resolved_accuracy,
        "resolved_interval": found.resolved_interval,
        "ceiling": found.ceiling,
        "share_decided": found.share_decided,
        "num_decided": found.num_decided,
        "decided_accuracy": found.decided_accuracy,
        "brier": found.brier,
        "brier_null": 0.25,
        "calibration": [asdict(one) for one in found.bins],
        "regret_at_1": found.regret,
        "regret_at_1_null": found.regret_null,
        "top_k": [asdict(one) for one in found.top],
    }


def _order(group: RankedGroup) -> list[dict[str, Any]]:
    return [
        {
            "recipe": row.recipe,
            "value": row.value,
            "interval": row.interval,
            "rank": None if group.abstain else row.rank,
            "rank_set": None if group.abstain else row.rank_set,
            "reason": group.abstain or row.reason,
            "num_seeds": row.num_seeds,
            "tied_with": row.tied_with,
            "may_be_best": row.may_be_best,
            "shrunken": row.shrunken,
            "probability_best": row.probability_best,
            **({} if group.targets is None else {"target": group.targets.get(row.recipe)}),
        }
        for row in group.ranking.order
    ]


def _calls(learnt: Relation, found: Calls) -> dict[str, Any]:
    return {
        "learnt_from": asdict(learnt),
        **asdict(found),
        "share_called": found.share_called,
        "share_right": found.share_right,
        "share_right_null": 0.5,
    }


def _agreement(found: Agreement) -> dict[str, Any]:
    return {
        "decision_accuracy": found.decision_accuracy,
        "decision_accuracy_interval": found.interval,
        "decision_accuracy_null": 0.5,
        "kendall_tau": found.kendall_tau,
        "kendall_tau_p_value": found.p_value,
        "n_recipes": found.num_recipes,
        "num_pairs": found.num_pairs,
        "num_ties": found.num_ties,
        "one_seed_decision_accuracy": found.one_seed,
        "num_seeds": found.num_seeds,
        "reason": found.reason,
    }
