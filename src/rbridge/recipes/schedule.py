"""The learning rate at each step of a recipe, as a share of the size's own peak."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rbridge.recipes.spec import Schedule

_FIRST_WARMUP = 0.05  # of the first phase's steps, where the schedule does not say
_WSD_DECAY = 0.2  # the share that MiniCPM's and later WSD runs anneal in lies between .1 and .2


def learning_rates(
    schedules: Sequence[Schedule], ends: Sequence[int], *, peak: float, fresh: bool
) -> Callable[[int], float]:
    """The learning rate by step, from 0, over all phases.

    Args:
        schedules: one a phase.
        ends: the step at which each phase ends, rising.
        peak: of phases that give none.
        fresh: whether the first phase starts from fresh weights, and so warms up unless it says otherwise.

    >>> rate = learning_rates([Schedule(kind="linear", warmup=0.5)], [4], peak=1.0, fresh=True)
    >>> [rate(step) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    starts = [0, *ends[:-1]]

    def rate(step: int) -> float:
        phase = next((number for number, end in enumerate(ends) if step < end), len(ends) - 1)
        schedule = schedules[phase]
        default = _FIRST_WARMUP if phase == 0 and fresh else 0.0
        warmup = default if schedule.warmup is None else schedule.warmup
        length = max(ends[phase] - starts[phase], 1)
        factor = _factor(schedule, step - starts[phase], length, warmup)
        return (peak if schedule.peak is None else schedule.peak) * factor

    return rate


def _factor(schedule: Schedule, step: int, length: int, warmup: float) -> float:
    """Of the peak; no step of a phase has a rate of 0, since nothing would be learned in it."""
    rising = round(warmup * length)
    if step < rising:
        return (step + 1) / rising
    decay = 1 - warmup
    if schedule.kind == "wsd":
        decay = min(_WSD_DECAY if schedule.decay is None else schedule.decay, 1 - warmup)
    falling = min(round(decay * length), length - rising)
    # A phase of a few steps has none to fall in; the scheduler asks for one step behind the last.
    left = (length - step) / falling if falling and step >= length - falling else 1.0
    shape = (1 - math.cos(math.pi * left)) / 2 if schedule.kind == "cosine" else left
    return schedule.floor + (1 - schedule.floor) * shape
