"""From results to a page as data; ``render`` makes HTML of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rbridge import __version__
from rbridge.answers.combined import Combined
from rbridge.answers.declared import Status, exploratory
from rbridge.answers.rank import RankedGroup
from rbridge.report.comparison import ComparisonRow, ComparisonSection, comparison_sections
from rbridge.report.head import Head, head
from rbridge.report.heatmap import HeatMap, without_text
from rbridge.report.provenance import Provenance, provenance
from rbridge.report.rankings import RankingSection, combined_section, ranking_section
from rbridge.report.scatter import RecordedTargets, ScatterSection, scatter_section
from rbridge.report.scores import ScoreTable, materials, read_scores, score_tables
from rbridge.report.study_part import StudyPart
from rbridge.store.bundles import Bundle
from rbridge.store.runs import Run


@dataclass(frozen=True)
class Page:
    """Everything on the page; a part without data is empty and not printed."""

    title: str
    version: str
    head: Head
    rankings: tuple[RankingSection, ...]
    recipes: tuple[tuple[str, str], ...]
    scatters: tuple[ScatterSection, ...]
    comparisons: tuple[ComparisonSection, ...]
    scores: tuple[ScoreTable, ...]
    heatmaps: tuple[HeatMap, ...]
    provenance: Provenance
    study: StudyPart | None = None


def build_page(
    *,
    title: str,
    now: str,
    groups: Sequence[RankedGroup] = (),
    combined: Sequence[Combined] = (),
    statuses: Sequence[Status] = (),
    seen: Sequence[Sequence[str]] = (),
    comparison: Sequence[ComparisonRow] = (),
    runs: Sequence[Run] = (),
    bundles: Sequence[Bundle] = (),
    heatmaps: Sequence[HeatMap] = (),
    recipes: Mapping[str, str] | None = None,
    recorded_targets: RecordedTargets | None = None,
    show_text: bool = True,
    study: StudyPart | None = None,
) -> Page:
    """A page from results that are computed already: nothing is scored or resampled here.

    Args:
        title: of the page.
        now: its date, as text: nothing here looks at a clock.
        groups: rankings, with their targets where there are any.
        combined: rankings over several benchmarks, which follow the single ones.
        statuses: of each group, declared or exploratory; none: all are exploratory, and the metrics side by
            side are those looked at.
        seen: of each group, what is known of its recipes having seen the benchmark, a line each; none: nothing is.
        comparison: metrics side by side; the first of kind ``score`` is on trial.
        runs: score runs; their tokens are read one run at a time.
        bundles: the traces that the runs scored, for names and weight models.
        heatmaps: from ``heat_map``.
        recipes: what each recipe is, in words, for a reader who does not know their names.
        recorded_targets: where the targets come from, if they were measured earlier.
        show_text: False leaves out every word of traces and questions.
        study: that the page comes from.
    """
    scores = [read_scores(run, bundles) for run in runs]
    compared = comparison_sections(comparison)
    scatters = [scatter_section(group, recorded_targets) for group in groups]
    looked = [status.num_metrics for status in statuses] or [len({row.name for row in comparison})]
    unnamed = exploratory(max(1, *looked))
    standings = [status.text for status in statuses] or [unnamed for _ in groups]
    return Page(
        title=title,
        version=__version__,
        head=head(groups, compared, materials(scores)),
        rankings=(
            *(
                ranking_section(group, standing, lines)
                for group, standing, lines in zip(groups, standings, seen or [()] * len(groups), strict=True)
            ),
            *(combined_section(one, unnamed) for one in combined),
        ),
        recipes=tuple((recipes or {}).items()),
        scatters=tuple(section for section in scatters if section is not None),
        comparisons=compared,
        scores=score_tables(scores),
        heatmaps=tuple(heatmaps) if show_text else tuple(without_text(heat) for heat in heatmaps),
        provenance=provenance(scores, bundles, recorded=recorded_targets, now=now, show_text=show_text),
        study=study,
    )
