"""From hidden states to losses: the logits of a few rows and a piece of the vocabulary at a time.

The log-sum-exp is float32 whatever the model's precision. It is not ``F.cross_entropy``: torch's fused
float32 log-softmax on a CPU loses up to 1e-5 a token the same way each time over a large vocabulary, and is slower.

Shapes: N rows, D width of the hidden states, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

# Rows and vocabulary entries of a tile on a CPU: 1 MB of float32, about what a core's own cache holds.
TILE_ROWS = 256
TILE_WIDTH = 1024
# Bytes of float32 logits at a time where whole rows are needed.
ROW_BYTES = 1 << 25
# The sum of exponentials of unshifted float32 logits is exact to 1e-7 between these.
_SAFE = (1e-20, 1e30)


@dataclass(frozen=True)
class Details:
    """Losses and the rest of each prediction, float32, one value a row.

    Attributes:
        nll: -ln p of the right token, nats.
        token: its id.
        rank: 1 + the number of tokens with a higher logit.
        entropy: of the prediction, nats.
        logit_margin: highest logit less the second highest.
        probability_margin: the same of probabilities.
    """

    nll: torch.Tensor
    token: torch.Tensor
    rank: torch.Tensor
    entropy: torch.Tensor
    logit_margin: torch.Tensor
    probability_margin: torch.Tensor


def tiled_losses(
    hidden_ND: torch.Tensor, target_N: torch.Tensor, head: torch.nn.Linear, *, rows: int = TILE_ROWS
) -> torch.Tensor:
    """-ln p of each target, where logits are ``head(hidden)`` and nothing else.

    Args:
        hidden_ND: hidden states that predict.
        target_N: the tokens that came.
        head: the linear map to logits.
        rows: rows at a time.

    Returns:
        float32 nats (N,).
    """
    pieces = zip(hidden_ND.split(rows), target_N.split(rows), strict=True)
    return torch.cat([_tiled(hidden, target, head) for hidden, target in pieces])


def _tiled(hidden_ND: torch.Tensor, target_N: torch.Tensor, head: torch.nn.Linear) -> torch.Tensor:
    order_N = target_N.argsort()
    sorted_N = target_N[order_N]
    width = TILE_WIDTH if hidden_ND.device.type == "cpu" else head.weight.shape[0]
    edges = [*range(0, head.weight.shape[0], width), head.weight.shape[0]]
    # Where in the sorted targets each tile's part begins.
    begin = torch.searchsorted(sorted_N, torch.tensor(edges, device=sorted_N.device)).tolist()
    right_N = hidden_ND.new_empty(len(target_N), dtype=torch.float32)
    total_N = hidden_ND.new_zeros(len(target_N), dtype=torch.float32)
    for tile, start in enumerate(edges[:-1]):
        weight, bias = head.weight[start : start + width], head.bias
        logits = F.linear(hidden_ND, weight, None if bias is None else bias[start : start + width]).float()
        if begin[tile] < begin[tile + 1]:
            here = order_N[begin[tile] : begin[tile + 1]]
            right_N[here] = logits[here, target_N[here] - start]
        total_N += logits.exp_().sum(1)
    if bool(((total_N > _SAFE[0]) & (total_N < _SAFE[1])).all()):
        return total_N.log_() - right_N
    return row_losses(head(hidden_ND), target_N)


def row_losses(logits_NV: torch.Tensor, target_N: torch.Tensor) -> torch.Tensor:
    """-ln p of each target from whole rows of logits; the logits may be overwritten."""
    logits_NV = logits_NV.float()
    right_N = logits_NV.gather(1, target_N[:, None])[:, 0]
    highest_N = logits_NV.amax(1)
    return _total(logits_NV.sub_(highest_N[:, None])).log_() + (highest_N - right_N)


def _total(shifted_NV: torch.Tensor) -> torch.Tensor:
    return shifted_NV.exp_().sum(1)


def row_details(logits_NV: torch.Tensor, target_N: torch.Tensor) -> Details:
    """Losses and token statistics from whole rows of logits; the logits may be overwritten."""
    logits_NV = logits_NV.float()
    right_N1 = logits_NV.gather(1, target_N[:, None])
    rank_N = (logits_NV > right_N1).sum(1) + 1
    top_N2 = logits_NV.topk(min(2, logits_NV.shape[1]), dim=1).values
    highest_N, gap_N = top_N2[:, 0], top_N2[:, 0] - top_N2[:, -1]
    shifted_NV = logits_NV.sub_(highest_N[:, None])
    power_NV = shifted_NV.exp()
    total_N = power_NV.sum(1)
    # H = ln sum e^x - sum x e^x / sum e^x; 0 ln 0 = 0 where a logit is -inf.
    mean_N = torch.linalg.vecdot(power_NV, shifted_NV.nan_to_num_(neginf=0.0)) / total_N
    return Details(
        nll=total_N.log() + (highest_N - right_N1[:, 0]),
        token=target_N,
        rank=rank_N,
        entropy=(total_N.log() - mean_N).clamp_(min=0.0),
        logit_margin=gap_N,
        probability_margin=-torch.expm1(-gap_N) / total_N,
    )


class BehindBody:
    """What a model does behind its body (head, logit caps and scales, a projection), rows at a time.

    The model's own ``forward`` runs with its body replaced by one that returns given hidden states, so
    that nothing it does to logits is written here a second time.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._body = model.base_model

    def body(self, **inputs: Any) -> Any:
        """The body's output for a batch."""
        return self._body(use_cache=False, **inputs)

    def logits(self, hidden_ND: torch.Tensor, output_type: type) -> torch.Tensor:
        """Logits (N, V) of rows of hidden states.

        Args:
            hidden_ND: hidden states.
            output_type: of the body's output.
        """
        stand_in = _StandIn(output_type, hidden_ND[None])
        prefix = self._model.base_model_prefix
        self._model._modules[prefix] = stand_in  # noqa: SLF001 - assignment would register nothing else
        try:
            ids = torch.zeros((1, len(hidden_ND)), dtype=torch.long, device=hidden_ND.device)
            return self._model(input_ids=ids, use_cache=False).logits[0]
        finally:
            self._model._modules[prefix] = self._body  # noqa: SLF001


class _StandIn(torch.nn.Module):
    """A body that returns what it was given."""

    def __init__(self, output_type: type, hidden_1ND: torch.Tensor) -> None:
        super().__init__()
        self._output_type = output_type
        self._hidden = hidden_1ND

    def forward(self, *_: Any, **__: Any) -> Any:  # pyrefly: ignore[missing-override-decorator]
        """The output that a body of this kind gives."""
        return self._output_type(last_hidden_state=self._hidden)
