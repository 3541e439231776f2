"""Which sequences go through the model together: padded batches, packs, and prefixes that are run once.

Everything here is a function of the token ids alone, so that an interrupted run is cut in the same way again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# A prefix shorter than this costs more to set up than it saves.
SHARED_AT_LEAST = 500


def batches(lengths: Sequence[int], *, budget: int, border: int | None = None) -> Iterator[list[int]]:
    """Indices in batches of at most ``budget`` padded tokens, longest first.

    A sequence longer than the budget is a batch of its own.

    Args:
        lengths: tokens of each sequence.
        budget: padded tokens a batch.
        border: no batch holds sequences longer than this and others that are not.
    """
    batch: list[int] = []
    for index in _longest_first(lengths):
        crossing = border is not None and batch and lengths[batch[0]] > border >= lengths[index]
        if batch and (crossing or lengths[batch[0]] * (len(batch) + 1) > budget):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def packs(lengths: Sequence[int], *, budget: int, border: int | None = None) -> Iterator[list[int]]:
    """Indices in packs of at most ``budget`` tokens without padding: first fit, longest first.

    A sequence longer than the budget is a pack of its own.

    Args:
        lengths: tokens of each sequence.
        budget: tokens a pack.
        border: no pack holds sequences longer than this and others that are not.
    """
    found: list[list[int]] = []
    room: list[int] = []
    for index in _longest_first(lengths):
        length = lengths[index]
        for place, members in enumerate(found):
            apart = border is not None and (lengths[members[0]] > border) != (length > border)
            if length <= room[place] and not apart:
                members.append(index)
                room[place] -= length
                break
        else:
            found.append([index])
            room.append(budget - length)
    yield from found


def _longest_first(lengths: Sequence[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))


@dataclass(frozen=True)
class Shared:
    """Sequences that begin alike.

    Attributes:
        members: their indices.
        num_tokens: how many leading tokens all of them have in common and may be run once.
    """

    members: tuple[int, ...]
    num_tokens: int


def shared_prefixes(ids: Sequence[tuple[int, ...]], first_needed: Sequence[int]) -> list[Shared]:
    """Groups of sequences with a long common beginning (the worked examples of a benchmark), and the rest.

    Args:
        ids: token ids of each sequence.
        first_needed: the first position of each whose prediction is needed: no prefix reaches it.

    Returns:
        Disjoint groups that hold every index once; one group with ``num_tokens`` 0 for the rest.
    """
    order = sorted(range(len(ids)), key=lambda index: ids[index])  # alike ones stand together
    groups: list[Shared] = []
    rest: list[int] = []
    run: list[int] = []
    for index in [*order, None]:
        if run and index is not None and _common(ids[run[-1]], ids[index]) >= SHARED_AT_LEAST:
            run.append(index)
            continue
        # In sorted order the first and the last have in common what all have.
        alike = _common(ids[run[0]], ids[run[-1]]) if len(run) > 1 else 0
        num_tokens = min([alike, *(first_needed[member] for member in run)])
        if num_tokens >= SHARED_AT_LEAST:
            groups.append(Shared(tuple(sorted(run)), num_tokens))
        else:
            rest += run
        run = [] if index is None else [index]
    return groups + ([Shared(tuple(sorted(rest)), 0)] if rest else [])


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many leading ids two sequences have in common, by halving: comparing slices is fast."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
