"""Which documents share a window."""

from __future__ import annotations

from collections.abc import Sequence

_OPEN = 64  # more open windows pack tighter, but a short document then waits longer for its gap


def share_windows(lengths: Sequence[int], window: int) -> list[list[int]]:
    """Positions of the documents in each window, each document in the fullest open window with room for it.

    Args:
        lengths: of the documents in tokens, none above ``window``.
        window: length of a window in tokens.

    >>> share_windows([5, 4, 3], 8)
    [[0, 2], [1]]
    """
    closed: list[list[int]] = []
    opened: list[tuple[int, list[int]]] = []  # tokens held, and by which documents
    for position, length in enumerate(lengths):
        assert length <= window
        best = -1
        for number, (held, _) in enumerate(opened):
            if held + length <= window and (best < 0 or held > opened[best][0]):
                best = number
        if best >= 0:
            held, members = opened[best]
            members.append(position)
            opened[best] = (held + length, members)
            continue
        if len(opened) == _OPEN:
            opened.sort(key=lambda one: one[0])
            closed.append(opened.pop()[1])
        opened.append((length, [position]))
    return closed + [members for _, members in opened]
