"""What is done of a study: its units' places, and what they found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rbridge.study.ledger import Ledger
from rbridge.study.read import Study
from rbridge.study.units import Graph, Kind, Place, Unit


@dataclass(frozen=True)
class Results:
    """A study as far as it is done.

    Attributes:
        study: whose.
        graph: of its units.
        ledger: what is on disk of them.
        places: where each unit stands.
    """

    study: Study
    graph: Graph
    ledger: Ledger
    places: Mapping[str, Place]

    def done(self, name: str) -> bool:
        """Whether a unit is there, and done with its present inputs."""
        return name in self.places and self.places[name].state == "done"

    def found(self, name: str) -> dict[str, Any]:
        """What a unit that is done gives to others."""
        assert self.done(name), name
        return self.ledger.found(name)

    def of(self, kind: Kind) -> Iterator[tuple[Unit, dict[str, Any]]]:
        """The units of a kind that are done, with what they found."""
        for name, unit in self.graph.units.items():
            if unit.kind == kind and self.done(name):
                yield unit, self.found(name)
