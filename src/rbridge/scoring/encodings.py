"""A bundle's traces in a proxy's tokens, once for all checkpoints of a sweep that read alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rbridge.records import Skip, Trace
from rbridge.scoring.encode import Encoded, cut_windows, encode_trace
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.scoring.windows import Window

# Tokenizers that are kept: a sweep may go to and fro between two families. One takes some 10 bytes a token
# that is fed and 40 a token that is scored: 100 MB for 3,000 traces behind five worked examples.
KEPT = 2


@dataclass(frozen=True)
class Encodings:
    """Token ids, spans and weights of traces, by tokenizer; only those of the latest ones are kept.

    Attributes:
        traces: with their questions resolved.
        shots: worked examples asked for.
        window: read longer traces in such windows, or None.
    """

    traces: Sequence[Trace]
    shots: int
    window: Window | None
    _latest: dict[object, tuple[list[Encoded], list[Skip]]] = field(default_factory=dict, init=False)

    def of(self, tokenizer: ProxyTokenizer, context_length: int | None) -> tuple[list[Encoded], list[Skip]]:
        """What can be scored (windows as sequences of their own), and what is skipped.

        Args:
            tokenizer: the proxy's; one of the same content and prefix reads the same.
            context_length: most tokens that the proxy takes, or None.

        Raises:
            InputError: worked examples were asked for and a trace has none.
        """
        key = (tokenizer.sha256, tuple(tokenizer.prefix_ids), context_length)
        found = self._latest.pop(key, None)
        if found is None:
            while len(self._latest) >= KEPT:
                del self._latest[next(iter(self._latest))]  # the one that was not asked for the longest
            found = self._encode(tokenizer, context_length)
        self._latest[key] = found
        return found

    def _encode(
        self, tokenizer: ProxyTokenizer, context_length: int | None
    ) -> tuple[list[Encoded], list[Skip]]:
        encoded: list[Encoded] = []
        skips: list[Skip] = []
        one_of_each: dict[int, int] = {}  # every id comes as an object of its own, which is 4/5 of the memory
        for trace in self.traces:
            found = encode_trace(
                trace, tokenizer, shots=self.shots, context_length=context_length, window=self.window
            )
            if isinstance(found, Skip):
                skips.append(found)
                continue
            ids = tuple(one_of_each.setdefault(index, index) for index in found.ids)
            encoded.extend(cut_windows(replace(found, ids=ids)))
        return encoded, skips
