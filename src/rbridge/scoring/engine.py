"""Losses of a causal language model at chosen positions, in float32, packed, exact.

Sequences stand one behind the other in a row and each sees itself alone (``attention``); where a model
does not allow that they are padded on the right, which a causal model never looks at. Only positions
that predict a scored token go through the head, in tiles (``head``), so no (time, vocabulary) tensor
exists. A long beginning that many sequences share is run once. What a model allows is proven on the
model itself at the start; every shorter way must give the losses of its plain forward.

Shapes: B sequences, T positions, D width, V vocabulary, N scored positions of a batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float

from rbridge.errors import InputError
from rbridge.records import TokenStatistics, TraceKey
from rbridge.scoring.attention import NAME, CannotPackError, Keys, Layout, laid_out
from rbridge.scoring.head import (
    ROW_BYTES,
    TILE_ROWS,
    BehindBody,
    Details,
    row_details,
    row_losses,
    tiled_losses,
)
from rbridge.scoring.matmul import choose_float32_matmul
from rbridge.scoring.packing import batches, packs, shared_prefixes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from rbridge.scoring.encode import Encoded

__all__ = ["Engine", "batches"]

_Read = TypeVar("_Read")
Losses = Float[np.ndarray, " tokens"]

# Nats a token by which the same sequence may differ between batch shapes, in float32 ...
TOLERANCE = 5e-5
# ... and in half precision, where one rounding of a logit near 20 is already 0.06.
HALF_TOLERANCE = 0.5
# Most bytes of logits at a time where a model's head cannot be reached alone.
LOGIT_BYTES = 1 << 30
# What a model may raise that is asked to run in a way it was not written for.
_NOT_THIS_WAY = (CannotPackError, AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError)


class Engine:
    """A model that gives losses, in a way that it was proven to allow.

    Attributes:
        vocabulary: ids must be below it.
        border: no batch holds sequences longer than this and others that are not, or None.
        packed_up_to: sequences of at most so many tokens are packed; longer ones are padded.
        head: ``tiles``, ``rows`` (the model's own way behind its body) or ``whole`` (its whole forward).
        matmul: which float32 product is used, see ``choose_float32_matmul``.
        max_probe_difference: largest difference in nats between batch shapes on made-up ids.
    """

    def __init__(self, model: PreTrainedModel, *, name: str) -> None:
        """Prove the model and choose how it is run; ``name`` stands in errors.

        Raises:
            InputError: the model looks at later tokens, gives non-finite losses, or its losses
                depend on the batch.
        """
        self._model: Any = model
        self._name = name
        self._device = next(model.parameters()).device
        embedding: Any = model.get_input_embeddings()
        self.vocabulary = int(embedding.weight.shape[0])
        self.border = _border(model.config)
        self.matmul = "default"
        half = next(model.parameters()).dtype != torch.float32
        self._tolerance = HALF_TOLERANCE if half else TOLERANCE
        if self._device.type == "cpu" and not half:
            self.matmul = choose_float32_matmul()
        self._behind = BehindBody(model)
        self._own_attention: str | None = getattr(model.config, "_attn_implementation", None)
        self._shared: dict[TraceKey, int] = {}
        self._prefix: tuple[tuple[int, ...], Keys] | None = None
        self._most_tokens: int | None = None  # of a batch, once one has not fitted into memory
        self.head = "whole"
        self.packed_up_to = 0
        self.max_probe_difference = self._probe()

    @property
    def ways(self) -> dict[str, str | int]:
        """How the model is run, for the run's manifest."""
        return {"head": self.head, "packed_up_to": self.packed_up_to, "float32_matmul": self.matmul}

    # -----------------------------------------------------------------------------------------------
    # Planning
    # -----------------------------------------------------------------------------------------------

    def plan(self, encoded: Sequence[Encoded], asked: int) -> Iterator[list[Encoded]]:
        """The sequences in batches that ``losses`` takes, a function of their ids alone.

        Args:
            encoded: all sequences of a run.
            asked: tokens a batch.
        """
        self._shared.clear()
        long = [item for item in encoded if len(item.ids) > self.packed_up_to]
        short = [item for item in encoded if len(item.ids) <= self.packed_up_to]
        padded = batches(
            [len(item.ids) for item in long], budget=self.token_budget(asked), border=self.border
        )
        for batch in padded:
            yield [long[index] for index in batch]
        if self.border is not None:
            groups = [(short, 0)]
        else:
            found = shared_prefixes([item.ids for item in short], [int(item.scored[0]) - 1 for item in short])
            groups = [([short[index] for index in group.members], group.num_tokens) for group in found]
        for members, num_shared in groups:
            self._shared |= {item.key: num_shared for item in members}
            lengths = [len(item.ids) - num_shared for item in members]
            border = None if self.border is None else self.border
            for pack in packs(lengths, budget=asked, border=border):
                yield [members[index] for index in pack]

    def token_budget(self, asked: int) -> int:
        """Padded tokens a batch may hold: fewer than asked for where all logits stand at once."""
        return asked if self.head != "whole" else min(asked, max(1, LOGIT_BYTES // (4 * self.vocabulary)))

    # -----------------------------------------------------------------------------------------------
    # Reading
    # -----------------------------------------------------------------------------------------------

    def losses(self, batch: Sequence[Encoded]) -> list[Losses]:
        """-ln p of every scored token, nats, for each sequence of a batch.

        A batch that does not fit into memory is halved, and halves are taken from then on.

        Raises:
            InputError: a loss is not finite, or one sequence alone does not fit into memory.
        """
        found = self._in_memory(batch, self._losses_of)
        for item, losses in zip(batch, found, strict=True):
            self._refuse_non_finite(item, losses)
        return found

    def statistics(self, batch: Sequence[Encoded]) -> list[tuple[Losses, TokenStatistics]]:
        """Losses, and the rest of each prediction (rank, entropy, margins), for each sequence of a batch.

        Raises:
            InputError: as ``losses``.
        """
        found = self._in_memory(batch, self._statistics_of)
        for item, (losses, _) in zip(batch, found, strict=True):
            self._refuse_non_finite(item, losses)
        return found

    def _refuse_non_finite(self, item: Encoded, losses: Losses) -> None:
        if not np.isfinite(losses).all():
            raise InputError(
                f"{self._name}: loss of token {int(np.argmin(np.isfinite(losses)))} of {item.key} is not "
                "finite; the weights hold NaN or overflow: check the checkpoint, or score in float32"
            )

    def _losses_of(self, batch: Sequence[Encoded], rows: int) -> list[Losses]:
        hidden_ND, target_N, output_type = self._predicting(batch)
        nll_N = self._head_losses(hidden_ND, target_N, output_type, rows)
        return [part.numpy() for part in nll_N.cpu().split([len(item.scored) for item in batch])]

    def _statistics_of(self, batch: Sequence[Encoded], rows: int) -> list[tuple[Losses, TokenStatistics]]:
        hidden_ND, target_N, output_type = self._predicting(batch)
        rows = min(rows, max(16, ROW_BYTES // (4 * self.vocabulary)))
        found = [
            row_details(self._logits(hidden, output_type), target)
            for hidden, target in zip(hidden_ND.split(rows), target_N.split(rows), strict=True)
        ]
        return _by_sequence(found, [len(item.scored) for item in batch])

    def _in_memory(
        self, batch: Sequence[Encoded], read: Callable[[Sequence[Encoded], int], list[_Read]]
    ) -> list[_Read]:
        """``read`` of a batch in parts that fit into memory."""
        tokens = sum(len(item.ids) for item in batch)
        if self._most_tokens is not None and tokens > self._most_tokens and len(batch) > 1:
            return self._halved(batch, read)
        rows = TILE_ROWS
        while True:
            try:
                with torch.inference_mode():
                    return read(batch, rows)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
            self._make_room()
            if len(batch) > 1:
                self._most_tokens = tokens // 2
                return self._halved(batch, read)
            if rows <= 16:
                raise InputError(
                    f"{self._name}: one sequence of {tokens} tokens ({batch[0].key}) does not fit into the memory "
                    f"of {self._device}; use a larger device, --device cpu, or --dtype bfloat16"
                )
            rows //= 4

    def _halved(
        self, batch: Sequence[Encoded], read: Callable[[Sequence[Encoded], int], list[_Read]]
    ) -> list[_Read]:
        middle = len(batch) // 2
        return [*self._in_memory(batch[:middle], read), *self._in_memory(batch[middle:], read)]

    def _make_room(self) -> None:
        self._prefix = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    # -----------------------------------------------------------------------------------------------
    # Bodies: from ids to what predicts
    # -----------------------------------------------------------------------------------------------

    def _predicting(self, batch: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor, type]:
        """What predicts each scored token (hidden states; logits if the head is not reached), and the token."""
        ids = [item.ids for item in batch]
        scored = [item.scored.tolist() for item in batch]
        if max(len(sequence) for sequence in ids) > self.packed_up_to:
            return self._padded(ids, scored)
        shared = min(self._shared.get(item.key, 0) for item in batch)
        if shared and any(sequence[:shared] != ids[0][:shared] for sequence in ids):
            shared = 0  # not a batch of this engine's plan
        return self._packed(ids, scored, shared)

    def _padded(
        self, ids: Sequence[Sequence[int]], scored: Sequence[Sequence[int]]
    ) -> tuple[torch.Tensor, torch.Tensor, type]:
        length = max(len(sequence) for sequence in ids)
        # Any id will do behind a sequence's end; its own last one draws no warning about padding.
        padded = [[*sequence, *[sequence[-1]] * (length - len(sequence))] for sequence in ids]
        ids_BT = torch.tensor(padded, device=self._device)
        rows = torch.tensor([row for row, at in enumerate(scored) for _ in at], device=self._device)
        columns = torch.tensor([position for at in scored for position in at], device=self._device)
        target_N = ids_BT[rows, columns]
        # What stands at position i predicts token i + 1.
        if self.head == "whole":
            logits_BTV = self._model(input_ids=ids_BT, use_cache=False).logits
            return logits_BTV[rows, columns - 1], target_N, type(None)
        output = self._behind.body(input_ids=ids_BT)
        return output.last_hidden_state[rows, columns - 1], target_N, type(output)

    def _packed(
        self, ids: Sequence[Sequence[int]], scored: Sequence[Sequence[int]], shared: int
    ) -> tuple[torch.Tensor, torch.Tensor, type]:
        prefix = self._prefix_keys(tuple(ids[0][:shared])) if shared else None
        # A sequence's last token predicts nothing that is scored; its length counts where there is a border.
        last = None if self.border is not None else -1
        parts = [list(sequence[shared:last]) for sequence in ids]
        ends = np.cumsum([len(part) for part in parts]).tolist()
        starts = [0, *ends[:-1]]
        columns = [
            start + position - 1 - shared for start, at in zip(starts, scored, strict=True) for position in at
        ]
        target = [sequence[position] for sequence, at in zip(ids, scored, strict=True) for position in at]
        layout = Layout(tuple(zip(starts, ends, strict=True)), prefix=prefix)
        output = self._row([token for part in parts for token in part], layout, first=shared)
        at_N = torch.tensor(columns, device=self._device)
        return output.last_hidden_state[0, at_N], torch.tensor(target, device=self._device), type(output)

    def _prefix_keys(self, prefix: tuple[int, ...]) -> Keys:
        """Keys and values of a shared beginning, by layer; the last one is kept."""
        if self._prefix is None or self._prefix[0] != prefix:
            self._prefix = None
            kept: Keys = {}
            self._row(list(prefix), Layout(((0, len(prefix)),), kept=kept), first=0)
            self._prefix = (prefix, kept)
        return self._prefix[1]

    def _row(self, ids: list[int], layout: Layout, *, first: int) -> Any:
        """The body's output for one row of segments, whose positions begin at ``first``."""
        positions = [first + place for start, end in layout.bounds for place in range(end - start)]
        with self._segments(), laid_out(layout):
            return self._behind.body(
                input_ids=torch.tensor([ids], device=self._device),
                position_ids=torch.tensor([positions], device=self._device),
            )

    @contextlib.contextmanager
    def _segments(self) -> Generator[None]:
        """Within it, the model's attention reads rows of segments; its config is left as it was found."""
        self._model.set_attn_implementation(NAME)
        try:
            yield
        finally:
            self._model.set_attn_implementation(self._own_attention)

    # -----------------------------------------------------------------------------------------------
    # Heads: from what predicts to losses
    # -----------------------------------------------------------------------------------------------

    def _head_losses(
        self, hidden_ND: torch.Tensor, target_N: torch.Tensor, output_type: type, rows: int
    ) -> torch.Tensor:
        if self.head == "tiles":
            return tiled_losses(hidden_ND, target_N, self._model.get_output_embeddings(), rows=rows)
        rows = min(rows, max(16, ROW_BYTES // (4 * self.vocabulary)))
        pieces = zip(hidden_ND.split(rows), target_N.split(rows), strict=True)
        return torch.cat([row_losses(self._logits(hidden, output_type), target) for hidden, target in pieces])

    def _logits(self, hidden_ND: torch.Tensor, output_type: type) -> torch.Tensor:
        if self.head == "whole":
            return hidden_ND.clone()  # logits already, which must outlive being overwritten
        if self.head == "tiles":
            return self._model.get_output_embeddings()(hidden_ND)
        return self._behind.logits(hidden_ND, output_type)

    # -----------------------------------------------------------------------------------------------
    # Proof
    # -----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _probe(self) -> float:
        """Choose the shortest ways that give the model's own losses; return the largest difference seen.

        Some architectures scale or cap their logits or project behind the body; some carry a state
        from token to token, or position by other means than rotation: such a difference is seen here.
        """
        long, short = _probe_ids(self.vocabulary)
        whole = self._probe_losses([long])[0]
        if not np.isfinite(whole).all():
            raise InputError(
                f"{self._name}: gives losses that are not finite; its weights hold NaN: check the checkpoint"
            )
        changed = self._probe_losses([[*long[:-1], (long[-1] + 1) % self.vocabulary]])[0]
        difference = float(np.abs(changed[:-1] - whole[:-1]).max())
        if difference > self._tolerance:
            raise InputError(
                f"{self._name}: its losses depend on later tokens (by {difference:.2g} nats); "
                "expected a causal language model, saved from ...ForCausalLM"
            )
        alone = self._probe_losses([short])[0]
        self._choose_head(long, whole)
        apart = _furthest(self._probe_losses([short, long]), [alone, whole])
        if apart > self._tolerance:
            raise InputError(
                f"{self._name}: its losses depend on what else is in the batch (by {apart:.2g} nats a token); "
                "such a model (an MoE that drops tokens at capacity?) has no score of its own"
            )
        return max(apart, self._choose_packing(long, short, [whole, alone, whole]))

    def _choose_head(self, ids: list[int], whole: Losses) -> None:
        head = self._model.get_output_embeddings()
        if self._model.base_model is self._model:
            return
        for way in ("tiles", "rows"):
            if way == "tiles" and not isinstance(head, torch.nn.Linear):
                continue
            self.head = way
            with contextlib.suppress(*_NOT_THIS_WAY):
                if _furthest(self._probe_losses([ids]), [whole]) <= self._tolerance / 5:
                    return
        self.head = "whole"

    def _choose_packing(self, long: list[int], short: list[int], expected: list[np.ndarray]) -> float:
        """Pack where attention can be laid out in segments, a shared beginning included."""
        layers = getattr(self._model.config.get_text_config(), "num_hidden_layers", None)
        reach = _reach(self._model.config)
        if self.head == "whole" or reach < len(long) or self._own_attention != "sdpa":
            return 0.0
        apart = float("inf")
        with contextlib.suppress(*_NOT_THIS_WAY):
            layout = Layout(((0, len(short)),))
            self._row(short, layout, first=0)
            if layout.num_calls == layers:
                self.packed_up_to = reach
                batch = [long, short, long]
                apart = _furthest(self._probe_losses(batch), expected)
                cut = len(short)
                begun = [[*long], [*long[:-1], short[0]]]
                behind = self._probe_losses(begun, shared=cut)
                apart = max(apart, _furthest([behind[0]], [expected[0][cut:]]))
        self._prefix = None
        if apart <= self._tolerance:
            return apart
        self.packed_up_to = 0
        return 0.0

    def _probe_losses(self, ids: list[list[int]], *, shared: int = 0) -> list[Losses]:
        """Losses of every token behind the first (or behind the one after a shared beginning)."""
        scored = [list(range(shared + 1, len(sequence))) for sequence in ids]
        if self.packed_up_to:
            hidden_ND, target_N, output_type = self._packed(ids, scored, shared)
        else:
            hidden_ND, target_N, output_type = self._padded(ids, scored)
        nll_N = self._head_losses(hidden_ND, target_N, output_type, TILE_ROWS)
        return [part.numpy() for part in nll_N.cpu().split([len(at) for at in scored])]


def _furthest(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """Largest difference; one that is not a number counts as infinite."""
    apart = max(float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True))
    return apart if np.isfinite(apart) else float("inf")


def _by_sequence(found: Sequence[Details], lengths: Sequence[int]) -> list[tuple[Losses, TokenStatistics]]:
    """Losses and statistics of all rows, cut into sequences."""

    def cut(name: str) -> list[np.ndarray]:
        values = torch.cat([getattr(details, name) for details in found]).cpu()
        return [part.numpy() for part in values.split(list(lengths))]

    names = ("token", "rank", "entropy", "logit_margin", "probability_margin")
    statistics = [TokenStatistics(*parts) for parts in zip(*(cut(name) for name in names), strict=True)]
    return list(zip(cut("nll"), statistics, strict=True))


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch has a type for a GPU; a CPU's allocator raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _probe_ids(vocabulary: int) -> tuple[list[int], list[int]]:
    """A long and a short sequence of ids, spread over the vocabulary, the same at every start."""
    rng = np.random.default_rng(0)
    long = rng.integers(0, vocabulary, size=24).tolist()
    return long, long[3:14]


def _reach(config: Any) -> int:
    """The longest sequence over which every layer of a model attends to all that came before; 0 for none.

    A short probe cannot see a window or chunk that is longer than itself; the config tells.
    """
    text = config.get_text_config()
    kinds = getattr(text, "layer_types", None) or ["full_attention"]
    if not set(kinds) <= {"full_attention", "sliding_attention", "chunked_attention"}:
        return 0  # layers that carry a state
    bounds = [1 << 30]
    for name in ("sliding_window", "attention_chunk_size", "attention_window_size"):
        bound = getattr(text, name, None)
        if isinstance(bound, int) and bound > 0 and getattr(text, "use_sliding_window", True):
            bounds.append(bound)
    return min(bounds)


def _border(config: Any) -> int | None:
    """The length at which a model computes positions in another way, or None.

    Under "longrope" (Phi-3, Phi-4) transformers takes its rotary factors from the longest sequence
    of a batch, so a sequence on this side must not stand in a batch with one on the other.
    """
    text = config.get_text_config()
    parameters = getattr(text, "rope_parameters", None) or {}
    if parameters.get("rope_type") != "longrope":
        return None
    return parameters.get("original_max_position_embeddings") or getattr(
        text, "original_max_position_embeddings", text.max_position_embeddings
    )
