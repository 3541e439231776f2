"""Attention over a pack: several sequences in one row, each of which sees itself alone.

One ``scaled_dot_product_attention(is_causal=True)`` a segment costs the sum of the squares of the
lengths; a dense mask over the pack costs the square of the sum. transformers calls ``_attend`` for
every layer of a model whose attention implementation is set to ``NAME``, and builds no mask for it.
Which fused kernel runs (flash attention for half precision on a GPU) is torch's choice.

Shapes: B = 1, H heads, T tokens of the pack, P tokens of a shared prefix, D head width.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from transformers import AttentionInterface

NAME = "rbridge_segments"
# Terms that some models hand to their attention and that are not computed here.
_UNKNOWN_TERMS = ("softcap", "s_aux", "position_bias", "attn_bias")

# The kernel behind scaled_dot_product_attention on a CPU gives (output, log-sum-exp of the scores); torch
# has no public name for it, so where it is missing the prefix is put before every segment's keys instead.
_WITH_TOTALS: Callable[..., tuple[torch.Tensor, torch.Tensor]] | None = getattr(
    torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None
)

Keys = dict[int, tuple[torch.Tensor, torch.Tensor]]


class CannotPackError(Exception):
    """A model's attention is of a kind that this one is not."""


@dataclass
class Layout:
    """What stands in the row.

    Attributes:
        bounds: half-open token range of each segment, in order, without gaps.
        prefix: keys and values (1, H, P, D) by layer of what stands before every segment, or None.
        kept: filled with the keys and values of this row by layer, or None.
        num_calls: how often a layer asked, to be compared with the number of layers.
    """

    bounds: tuple[tuple[int, int], ...]
    prefix: Keys | None = None
    kept: Keys | None = None
    num_calls: int = 0
    masks: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict)


_LAYOUT: ContextVar[Layout | None] = ContextVar("layout", default=None)


@contextlib.contextmanager
def laid_out(layout: Layout) -> Generator[None]:
    """Within it, models whose attention is ``NAME`` read their row as this layout says."""
    token = _LAYOUT.set(layout)
    try:
        yield
    finally:
        _LAYOUT.reset(token)


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **terms: Any,
) -> tuple[torch.Tensor, None]:
    layout = _LAYOUT.get()
    strange = [term for term in _UNKNOWN_TERMS if terms.get(term) is not None]
    if layout is None or attention_mask is not None or strange or not getattr(module, "is_causal", True):
        raise CannotPackError(f"{type(module).__name__}: {strange or 'a mask'}")
    layout.num_calls += 1
    layer: Any = getattr(module, "layer_idx", None)
    if layout.kept is not None:
        layout.kept[layer] = (key, value)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = _repeat(key, groups), _repeat(value, groups)
    if layout.prefix is None:
        parts = [
            F.scaled_dot_product_attention(
                query[:, :, start:end], key[:, :, start:end], value[:, :, start:end],
                is_causal=True, scale=scaling,
            )
            for start, end in layout.bounds
        ]  # fmt: skip
    else:
        before = tuple(_repeat(part, groups) for part in layout.prefix[layer])
        parts = _behind_prefix(layout, query, key, value, before, scaling)
    # (1, H, T, D) -> (1, T, H, D)
    return torch.cat([part.transpose(1, 2) for part in parts], dim=1), None


def _repeat(heads: torch.Tensor, groups: int) -> torch.Tensor:
    """Each key or value head as often as query heads read it."""
    return heads if groups == 1 else heads.repeat_interleave(groups, dim=1)


def _behind_prefix(
    layout: Layout,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    before: tuple[torch.Tensor, ...],
    scaling: float | None,
) -> list[torch.Tensor]:
    """Each segment over the prefix and itself."""
    if query.device.type == "cpu" and _WITH_TOTALS is not None:
        return _merged(layout, query, key, value, before, scaling)
    parts = []
    for start, end in layout.bounds:
        mask = _lower_right(layout, before[0].shape[2], end - start, query)
        keys = torch.cat([before[0], key[:, :, start:end]], dim=2)
        values = torch.cat([before[1], value[:, :, start:end]], dim=2)
        parts.append(
            F.scaled_dot_product_attention(
                query[:, :, start:end], keys, values, attn_mask=mask, scale=scaling
            )
        )
    return parts


def _merged(
    layout: Layout,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    before: tuple[torch.Tensor, ...],
    scaling: float | None,
) -> list[torch.Tensor]:
    """The prefix once for the whole row, each segment over itself, put together by their log-sum-exps.

    softmax over both parts = s * (softmax over the segment) + (1 - s) * (softmax over the prefix), with
    s = sigmoid(log-sum-exp of the segment's scores - that of the prefix's).
    """
    assert _WITH_TOTALS is not None
    over_prefix, prefix_total = _WITH_TOTALS(query, *before, scale=scaling)
    parts = []
    for start, end in layout.bounds:
        over_self, total = _WITH_TOTALS(
            query[:, :, start:end], key[:, :, start:end], value[:, :, start:end],
            is_causal=True, scale=scaling,
        )  # fmt: skip
        share = torch.sigmoid(total - prefix_total[:, :, start:end])[..., None].to(query.dtype)
        parts.append(torch.lerp(over_prefix[:, :, start:end], over_self, share))
    return parts


def _lower_right(layout: Layout, num_before: int, length: int, like: torch.Tensor) -> torch.Tensor:
    """An additive mask (T, P + T): all of the prefix, and the segment up to each token."""
    if (num_before, length) not in layout.masks:
        mask = torch.full((length, length), float("-inf"), dtype=like.dtype, device=like.device).triu(1)
        layout.masks[num_before, length] = F.pad(mask, (num_before, 0))
    return layout.masks[num_before, length]


AttentionInterface.register(NAME, _attend)
