"""One voice's traces of one benchmark: what fixes them, what is known of them, what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rbridge.benchmarks import Problem, ProblemSet
from rbridge.errors import InputError
from rbridge.traces.generate.calls import DECODING
from rbridge.traces.generate.client import Key
from rbridge.traces.generate.cost import Price
from rbridge.traces.generate.entries import Facts, Identity
from rbridge.traces.generate.ledger import Ledger
from rbridge.traces.generate.probe import Probe
from rbridge.traces.generate.prompt import prompt_sha256, template_sha256

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How a benchmark is asked.

    Attributes:
        endpoint: base URL of an OpenAI-compatible chat endpoint.
        model: as the endpoint names it.
        voice: whose text it is in traces.
        key: for the endpoint.
        price: of the model; None where it is not known.
        max_cost: dollars that the whole bundle may cost, earlier runs included; None for no cap.
        concurrency: requests under way at once.
        max_tokens: the most that a reply may have.
        timeout: seconds that a reply may take.
        retries: how often a request is sent again after 429, 5xx or a lost connection.
        licence: terms of the source model, in the user's words.
        allowed_use: what they allow, in the user's words.
    """

    endpoint: str
    model: str
    voice: str
    key: Key
    price: Price | None = None
    max_cost: float | None = None
    concurrency: int = 8
    max_tokens: int = 2048
    timeout: float = 600.0
    retries: int = 6
    licence: str | None = None
    allowed_use: str | None = None


class Series:
    """A series in the ledger, and the problems that it is to have.

    Attributes:
        benchmark, voice: its name.
        problems: that were asked for.
        facts: known of it.
        terms_changed: whether this run states other terms than the ledger has.
    """

    def __init__(self, ledger: Ledger, problems: ProblemSet, settings: Settings) -> None:
        self.ledger = ledger
        self.problems = problems
        self.benchmark, self.voice = problems.benchmark, settings.voice
        self._identity = Identity(
            model=settings.model, template_sha256=template_sha256(problems.benchmark), **DECODING
        )
        before = self._known()
        stated = {"licence": settings.licence, "allowed_use": settings.allowed_use}
        stated = {name: text for name, text in stated.items() if text is not None}
        self.terms_changed = any(getattr(before, name) != text for name, text in stated.items())
        wanted = {problem.problem_id for problem in problems.problems}
        settled = ledger.settled(self.benchmark, self.voice)
        news = {"source": problems.source, "num_problems": len(wanted | settled)}
        self.facts = before.model_copy(update={**stated, **news})
        ledger.write_problems((problem, prompt_sha256(problem)) for problem in problems.problems)
        ledger.reopen(self.benchmark, self.voice, settings.max_tokens)
        self._write()

    def missing(self) -> list[Problem]:
        """The problems that have neither a trace nor a skip."""
        settled = self.ledger.settled(self.benchmark, self.voice)
        return [problem for problem in self.problems.problems if problem.problem_id not in settled]

    def note(self, found: Probe, host: str, settings: Settings) -> None:
        """Add what a probe found to what is known."""
        facts = self.facts
        modes = {facts.logprobs_mode, found.logprobs_mode} - {None}
        self.facts = facts.model_copy(
            update={
                "hosts": _with(facts.hosts, host),
                "models": _with(facts.models, found.model, found.fingerprint),
                "flags": _with(facts.flags, *found.flags),
                "logprobs_mode": modes.pop() if len(modes) == 1 else "mixed",
                "max_tokens": settings.max_tokens,
                "price": None if settings.price is None else settings.price.source,
            }
        )
        self._write()

    def _known(self) -> Facts:
        known = self.ledger.series(self.benchmark, self.voice)
        if known is None or not self.ledger.asked(self.benchmark, self.voice):
            return Facts()
        identity, facts = known
        for name, value in self._identity.model_dump().items():
            before = getattr(identity, name)
            if before != value:
                raise InputError(
                    f"{self.ledger.path}: {self.benchmark} in the voice {self.voice!r} was asked with {name} "
                    f"{before!r}, now it is {value!r}; two are never mixed: name another --voice or bundle"
                )
        return facts

    def _write(self) -> None:
        self.ledger.write_series(self.benchmark, self.voice, self._identity, self.facts)


def _with(known: tuple[str, ...], *more: str | None) -> tuple[str, ...]:
    return tuple(sorted({*known, *filter(None, more)}))
