"""The faster exact float32 matrix product of a CPU, where torch does not take it by itself.

torch sends float32 products to MKL. On some CPUs (AMD with AVX-512) oneDNN is twice as fast and as
exact; ``onednn.fp32_precision = "bf16"`` sends them there. On a CPU with
bfloat16 matrix units the same setting really rounds to bfloat16, so it is tried before it is kept.
"""

from __future__ import annotations

import functools
import time
from typing import Any

import torch

_SIZE = 512
# Largest relative error of a product that counts as float32, and by how much the other must be faster.
_EXACT = 1e-6
_FASTER = 1.15


@functools.cache
def choose_float32_matmul() -> str:
    """Set the faster of the exact float32 products for this process, once.

    Returns:
        ``default`` or ``onednn``, for the run's manifest.
    """
    onednn: Any = getattr(torch.backends.mkldnn, "matmul", None)
    if not hasattr(onednn, "fp32_precision") or not torch.backends.mkldnn.is_available():
        return "default"  # an older torch, or another processor
    setting = onednn.fp32_precision
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(_SIZE, _SIZE, generator=generator) for _ in range(2))
    exact = left.double() @ right.double()
    default = _seconds(left, right)
    onednn.fp32_precision = "bf16"
    error = float(((left @ right).double() - exact).abs().max() / exact.abs().max())
    if error < _EXACT and _seconds(left, right) * _FASTER < default:
        return "onednn"
    onednn.fp32_precision = setting
    return "default"


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    """The least of a few timings of one product, in CPU seconds: a busy machine delays but adds nothing."""
    found = []
    for _ in range(6):
        started = time.process_time()
        _ = left @ right
        found.append(time.process_time() - started)
    return min(found)
