"""The form of an answer where only reasoning should stand.

A proxy is scored on R with the final answer removed; where R announces it all the same, part of the score
is the likelihood of a formula that the writer's instruction asked for.
"""

from __future__ import annotations

import re

# Name, what it looks like. The last two look at the end of R alone.
LEAKS: dict[str, re.Pattern[str]] = {
    "final_answer": re.compile(r"\bfinal_answer\b"),
    r"\boxed": re.compile(r"\\boxed\s*\{"),
    "####": re.compile(r"^\s*####\s*\S", re.MULTILINE),
    "Answer:": re.compile(r"^\W*(?:final\s+)?answer\s*:", re.MULTILINE | re.IGNORECASE),
    "ends: answer is": re.compile(r"\banswer\s+(?:is|must be|should be)\b[^\n]{1,80}\s*\Z", re.IGNORECASE),
    "ends: option": re.compile(r"\b(?:option|choice)\s+\(?[A-J]\)?\W*\Z", re.IGNORECASE),
}


def leaks(reasoning: str) -> tuple[str, ...]:
    r"""The names of the forms (see ``LEAKS``) that a trace holds.

    >>> leaks("So 2 + 3 = 5.\nAnswer: 5"), leaks("So 2 + 3 = 5.")
    (('Answer:',), ())
    """
    return tuple(name for name, form in LEAKS.items() if form.search(reasoning))
