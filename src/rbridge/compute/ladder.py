"""DataDecide's ladder of model sizes, as data (Magnusson et al. 2025; method.md, section 5)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """One size of a ladder: its name, all its parameters N, its steps, and its tokens D."""

    size: str
    parameters: float
    steps: int
    tokens: float


DATADECIDE: tuple[Rung, ...] = (
    Rung("4M", 3.7e6, 5_725, 0.4e9),
    Rung("6M", 6.0e6, 9_182, 0.6e9),
    Rung("8M", 8.5e6, 13_039, 0.9e9),
    Rung("10M", 9.9e6, 15_117, 1.0e9),
    Rung("14M", 14.4e6, 21_953, 1.4e9),
    Rung("16M", 16.0e6, 24_432, 1.6e9),
    Rung("20M", 19.1e6, 14_584, 1.9e9),
    Rung("60M", 57.1e6, 29_042, 5.7e9),
    Rung("90M", 97.9e6, 29_901, 9.8e9),
    Rung("150M", 151.9e6, 38_157, 15e9),
    Rung("300M", 320.0e6, 45_787, 30e9),
    Rung("530M", 530.1e6, 57_786, 53e9),
    Rung("750M", 681.3e6, 63_589, 75e9),
    Rung("1B", 1176.8e6, 69_369, 100e9),
)
