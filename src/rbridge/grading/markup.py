r"""The wrapping that models put around an answer: ``\boxed{}``, ``$...$``, ``\text{}``, Markdown's stars."""

from __future__ import annotations

import re

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
# Spaces in LaTeX, an escaped dollar or percent sign, and the separator of thousands in {,}.
_SPACING = ((r"\!", ""), (r"\,", ""), (r"\;", " "), (r"\$", "$"), (r"\%", "%"), ("{,}", ","))


def unwrap(answer: str) -> str:
    r"""The answer without its wrapping; what stands in the last ``\boxed{}`` if there is one.

    Example:
        >>> unwrap(r"**$\boxed{\text{(B)}}$**")
        '(B)'
    """
    text = last_box(answer) or answer
    text = _TEXT.sub(r"\1", text)
    for mark, plain in _SPACING:
        text = text.replace(mark, plain)
    return text.strip().strip("*_`\"'").removeprefix("$").removesuffix("$").strip()


def last_box(text: str) -> str | None:
    r"""What stands in the last ``\boxed{...}`` of a text, its own braces balanced; None without one."""
    starts = [match.end() for match in _BOX.finditer(text)]
    if not starts:
        return None
    depth = 1
    for at in range(starts[-1], len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[starts[-1] : at]
    return None
