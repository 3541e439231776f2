"""Option letters: ``B``, ``(B)``, ``B.``, ``B) boiling``, or an option's own text where it is unique."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from rbridge.grading.markup import unwrap
from rbridge.grading.verdict import Verdict

_LEAD = re.compile(r"^(?:(?:the|my|final|correct|best|answer|option|choice|is)\b[\s:]*)+", re.IGNORECASE)
# A letter alone, in brackets, or before a mark. A letter before a mere space is a word: "A dog".
_LETTER = re.compile(
    r"""^(?: (?P<alone>[A-Z]) [.:)]?
    | \( (?P<bracketed>[A-Z]) \) (?P<after>.*)
    | (?P<marked>[A-Z]) (?: [.:)] | \s+[-–—:] ) \s+ (?P<text>.*) )$""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def check_letter(gold: str, choices: Sequence[str] | None, answer: str) -> Verdict:
    """Whether an answer names the gold option, by its letter or by its text.

    Args:
        gold: the right option's letter.
        choices: the options' texts in the order of their letters; None where only letters are known.
        answer: what was answered. One that can be read as no option, or as two, is undecided.
    """
    plain = unwrap(answer)
    by_text = _options_with(choices, plain)
    match = _LETTER.match(plain) or _LETTER.match(_LEAD.sub("", plain))
    if len(by_text) == 1 and not (match and match["alone"]):
        return _compare(by_text[0], gold)
    if match is None:
        shared = f": options {' and '.join(by_text)} share this text" if by_text else ""
        return Verdict(None, f"the answer {answer[:60]!r} cannot be read as one of the options{shared}")
    letter = (match["alone"] or match["bracketed"] or match["marked"]).upper()
    named = _options_with(choices, match["after"] or match["text"] or "")
    if named and letter not in named:
        return Verdict(None, f"the answer names {letter} but has the text of {named[0]}")
    if choices is not None and letter not in string.ascii_uppercase[: len(choices)]:
        return Verdict(correct=False, reason=f"{letter} is no option of {len(choices)}")
    return _compare(letter, gold)


def _compare(letter: str, gold: str) -> Verdict:
    return Verdict(letter == gold, f"option {letter} against {gold}")


def _options_with(choices: Sequence[str] | None, text: str) -> list[str]:
    """The letters of all options that have this text."""
    wanted = folded(text)
    if not wanted or choices is None:
        return []
    pairs = zip(string.ascii_uppercase, choices, strict=False)
    return [letter for letter, choice in pairs if folded(choice) == wanted]


def folded(text: str) -> str:
    """A text without case, outer punctuation and the width of its spaces, for comparing."""
    return " ".join(text.split()).strip(" .,;:!\"'").casefold()
