"""Losses of a causal language model at chosen positions, in float32, batched, exact.

Sequences are sorted by length and padded on the right to a token budget; no mask is needed, for a
causal model never looks right. Only positions that predict a scored token go through the head, in
chunks, so no (batch, time, vocabulary) tensor exists. ``probe`` proves on the loaded model what
this rests on, before any score is kept.

Shapes: B sequences, T positions, V vocabulary, N scored positions of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from rbridge.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from rbridge.scoring.encode import Encoded

# Rows of the logits that stand at a time. Measured flat from 64 to 256 on a CPU, twice as slow at 16.
HEAD_CHUNK = 128
# Nats a token by which the same sequence may differ between batch shapes, in float32 ...
TOLERANCE = 5e-5
# ... and in half precision, where one rounding of a logit near 20 is already 0.06.
HALF_TOLERANCE = 0.5
# Most bytes of logits at a time where a model's head cannot be reached alone.
LOGIT_BYTES = 1 << 30


class Engine:
    """A model that gives losses, in a way that it was proven to allow."""

    def __init__(self, model: PreTrainedModel, *, name: str) -> None:
        """Prove the model and choose how its head is reached; ``name`` stands in errors.

        Raises:
            InputError: the model looks at later tokens, gives non-finite losses, or its losses
                depend on the batch.
        """
        self._model = model
        self._name = name
        self._device = next(model.parameters()).device
        embedding: Any = model.get_input_embeddings()
        self.vocabulary = int(embedding.weight.shape[0])  # ids must be below it
        self._head: Any = model.get_output_embeddings()
        self.border = _border(model.config)
        self._split = False
        self._tolerance = TOLERANCE if self._float32() else HALF_TOLERANCE
        self.max_probe_difference = self._probe()

    def token_budget(self, asked: int) -> int:
        """Padded tokens a batch may hold: fewer than asked for where all logits stand at once."""
        return asked if self._split else min(asked, max(1, LOGIT_BYTES // (4 * self.vocabulary)))

    def losses(self, batch: Sequence[Encoded]) -> list[Float[np.ndarray, " tokens"]]:
        """-ln p of every scored token, nats, for each sequence of a batch.

        Raises:
            InputError: a loss is not finite.
        """
        found = self._losses([item.ids for item in batch], [item.scored.tolist() for item in batch])
        for item, losses in zip(batch, found, strict=True):
            if not np.isfinite(losses).all():
                raise InputError(
                    f"{self._name}: loss of token {int(np.argmin(np.isfinite(losses)))} of {item.key} is not "
                    "finite; the weights hold NaN or overflow: check the checkpoint, or score in float32"
                )
        return found

    @torch.inference_mode()
    def _losses(
        self, ids: Sequence[Sequence[int]], scored: Sequence[Sequence[int]]
    ) -> list[Float[np.ndarray, " tokens"]]:
        length = max(len(sequence) for sequence in ids)
        # Any id will do behind a sequence's end; its own last one draws no warning about padding.
        padded = [[*sequence, *[sequence[-1]] * (length - len(sequence))] for sequence in ids]
        ids_BT = torch.tensor(padded, device=self._device)
        rows = torch.tensor([row for row, at in enumerate(scored) for _ in at], device=self._device)
        columns = torch.tensor([position for at in scored for position in at], device=self._device)
        # The logit at position i predicts token i + 1.
        nll_N = self._nll_at(ids_BT, rows, columns - 1, ids_BT[rows, columns])
        return [part.numpy() for part in nll_N.cpu().split([len(at) for at in scored])]

    def _nll_at(
        self, ids_BT: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, target_N: torch.Tensor
    ) -> torch.Tensor:
        if not self._split:
            logits_NV = self._model(input_ids=ids_BT, use_cache=False).logits[rows, columns]
            return _cross_entropy(logits_NV, target_N)
        hidden_ND = self._model.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state[rows, columns]
        chunks = zip(hidden_ND.split(HEAD_CHUNK), target_N.split(HEAD_CHUNK), strict=True)
        return torch.cat([_cross_entropy(self._head(hidden), target) for hidden, target in chunks])

    def _probe(self) -> float:
        """Check the model on made-up ids; return the largest difference between batch shapes.

        The head is split off from the body only where that gives the model's own losses: some
        architectures scale or cap their logits, or project behind the body.
        """
        long, short = _probe_ids(self.vocabulary)
        at_long, at_short = list(range(1, len(long))), list(range(1, len(short)))
        whole = self._losses([long], [at_long])[0]
        if not np.isfinite(whole).all():
            raise InputError(
                f"{self._name}: gives losses that are not finite; its weights hold NaN: check the checkpoint"
            )
        self._split = self._splits_alike([long], [at_long], whole)
        changed = self._losses([[*long[:-1], (long[-1] + 1) % self.vocabulary]], [at_long])[0]
        difference = float(np.abs(changed[:-1] - whole[:-1]).max())
        if difference > self._tolerance:
            raise InputError(
                f"{self._name}: its losses depend on later tokens (by {difference:.2g} nats); "
                "expected a causal language model, saved from ...ForCausalLM"
            )
        alone = self._losses([short], [at_short])[0]
        batched = self._losses([short, long], [at_short, at_long])
        apart = max(float(np.abs(batched[0] - alone).max()), float(np.abs(batched[1] - whole).max()))
        if apart > self._tolerance:
            raise InputError(
                f"{self._name}: its losses depend on what else is in the batch (by {apart:.2g} nats a token); "
                "such a model (an MoE that drops tokens at capacity?) has no score of its own"
            )
        return apart

    def _splits_alike(
        self, ids: list[list[int]], scored: list[list[int]], whole: Float[np.ndarray, " tokens"]
    ) -> bool:
        if self._model.base_model is self._model or self._head is None:
            return False
        self._split = True
        try:
            return float(np.abs(self._losses(ids, scored)[0] - whole).max()) <= self._tolerance / 5
        except (AttributeError, TypeError, RuntimeError):
            return False  # a body of another form; the model's own forward is used

    def _float32(self) -> bool:
        return next(self._model.parameters()).dtype == torch.float32


def _cross_entropy(logits_NV: torch.Tensor, target_N: torch.Tensor) -> torch.Tensor:
    """-ln p of the targets, in float32.

    Not `F.cross_entropy`: on a CPU its fused log-softmax loses up to 6e-6 nats at 50,000 logits, one way.
    """
    logits_NV = logits_NV.float()
    return logits_NV.logsumexp(-1) - logits_NV.gather(1, target_N[:, None])[:, 0]


def _probe_ids(vocabulary: int) -> tuple[list[int], list[int]]:
    """A long and a short sequence of ids, spread over the vocabulary, the same at every start."""
    rng = np.random.default_rng(0)
    long = rng.integers(0, vocabulary, size=24).tolist()
    return long, long[3:14]


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


def batches(lengths: Sequence[int], *, budget: int, border: int | None = None) -> Iterator[list[int]]:
    """Indices in batches of at most ``budget`` padded tokens, longest first.

    A function of the lengths alone, so that an interrupted run is cut in the same way again.
    A sequence longer than the budget is a batch of its own.

    Args:
        lengths: tokens of each sequence.
        budget: padded tokens a batch.
        border: no batch holds sequences longer than this and others that are not.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batch: list[int] = []
    for index in order:
        crossing = border is not None and batch and lengths[batch[0]] > border >= lengths[index]
        if batch and (crossing or lengths[batch[0]] * (len(batch) + 1) > budget):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
