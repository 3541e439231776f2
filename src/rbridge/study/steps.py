"""Which function does which kind of unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rbridge.study import answer, make
from rbridge.study.build import build_graph
from rbridge.study.execute import Outcome, Progress, Work, survey_of
from rbridge.study.ledger import Ledger
from rbridge.study.read import Study
from rbridge.study.results import Results
from rbridge.study.units import Graph, Kind, Unit


@dataclass(frozen=True)
class Steps:
    """Does units of a study."""

    study: Study
    graph: Graph
    ledger: Ledger

    def __call__(self, unit: Unit, progress: Progress) -> Outcome:
        """Do one."""
        results = Results(self.study, self.graph, self.ledger, survey_of(self.graph, self.ledger))
        return _DO[unit.kind](results, unit, progress)


def work_of(study: Study) -> Work:
    """All that is needed to do a study's units."""
    graph, ledger = build_graph(study), Ledger(study.out)
    return Work(graph, ledger, Steps(study, graph, ledger), make.outputs_of)


def _report(results: Results, unit: Unit, progress: Progress) -> Outcome:
    from rbridge.study.page import report  # altair and jinja2 are loaded where a page is written

    return report(results, unit, progress)


_DO: dict[Kind, Callable[[Results, Unit, Progress], Outcome]] = {
    "source": make.check_source,
    "recipe": make.check_recipe,
    "tokenizer": make.make_tokenizer,
    "tokens": make.tokenise_source,
    "train": make.train,
    "score": make.score,
    "null": make.null,
    "evaluate": make.evaluate,
    "plan": answer.plan,
    "targets": answer.targets,
    "rank": answer.rank,
    "fit": answer.fit,
    "report": _report,
}
