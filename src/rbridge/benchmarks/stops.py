"""Where a reply ends that runs on: the text that begins the next example, or leaves a function's body. Data.

A model that has read worked examples goes on with another question when it has answered; the reply is what
stands before. For code the stops of HumanEval (Chen et al. 2021, section 2.1 and its released evaluation) hold
behind the words that give the answer, once a body has begun: there the first line that begins at the margin
with one of them is no longer the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rbridge.benchmarks.catalogue import Form
from rbridge.benchmarks.lookup import form_of


@dataclass(frozen=True)
class Stops:
    """What ends a reply.

    Attributes:
        anywhere: texts that no reply holds: the first of them ends it.
        behind_body: texts that end a function's body, where the answer is one.
    """

    anywhere: tuple[str, ...]
    behind_body: tuple[str, ...] = ()

    @property
    def every(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.anywhere, *self.behind_body)


_NEXT_EXAMPLE = ("\nQuestion:", "\nQ:")
STOPS: Mapping[Form, Stops] = {
    "free": Stops(_NEXT_EXAMPLE),
    "choices": Stops(_NEXT_EXAMPLE),
    "code": Stops(_NEXT_EXAMPLE, ("\nclass ", "\ndef ", "\n#", "\n@", "\nif ", "\nprint(", "\nassert ")),
}


def stops_of(benchmark: str) -> Stops:
    """The stops of a benchmark, by its form."""
    return STOPS[form_of(benchmark)]


def cut_reply(text: str, stops: Stops, *, lead: str) -> tuple[str, bool]:
    r"""A reply up to its end, and whether a stop ended it.

    Args:
        text: what a model wrote behind the prompt.
        stops: of the benchmark.
        lead: words that come right before the answer (see ``closing_parts``); what stands behind them is a
            function's body where its first line is indented by two spaces or more. Without them the whole reply may
            be one.

    Example:
        >>> cut_reply(" 2 + 3 = 5. The answer is 5.\n\nQuestion: What", STOPS["free"], lead="The answer is ")
        (' 2 + 3 = 5. The answer is 5.\n', True)
    """
    end = _first(text, stops.anywhere, 0)
    if stops.behind_body:
        start = _body_start(text[:end], lead)
        if start is not None:
            end = _first(text[:end], stops.behind_body, start)
    return text[:end], end < len(text)


def _first(text: str, stops: tuple[str, ...], start: int) -> int:
    """Where the first of the stops begins, or the text's end."""
    found = [at for stop in stops if (at := text.find(stop, start)) != -1]
    return min(found, default=len(text))


def _body_start(text: str, lead: str) -> int | None:
    """Where a body's first line begins; None where the answer is no body: a whole function, a fence, words."""
    place = text.find(lead.rstrip())
    at = 0 if place == -1 else place + len(lead.rstrip())
    while at < len(text):  # blank lines before it count for nothing
        newline = text.find("\n", at)
        line = text[at : len(text) if newline == -1 else newline]
        if line.strip():
            return at if line.startswith(("  ", "\t")) else None
        at += len(line) + 1
    return None
