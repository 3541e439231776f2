"""The candidate's process: it runs the answered code and answers calls of the function, nothing else.

It never sees the tests. Whatever the code does here (exits, prints, patches Python), the judge in the
other process sees a reply to its call, or none.
"""

from __future__ import annotations

import ast
import io
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rbridge.grading.inside.wire import dumps, limit_process, loads

_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


def main(job: str, cpu_seconds: int, memory: int) -> None:
    """Load the answered code of the job and answer calls from stdin on stdout until it ends."""
    limit_process(cpu_seconds, memory)
    calls = os.fdopen(os.dup(0), encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the code prints goes where errors go
    sys.stdin = io.StringIO()
    function = _load(**loads(Path(job).read_text(encoding="utf-8")))
    for line in calls:
        replies.write(_reply(function, *loads(line)) + "\n")
        replies.flush()


def _load(question: str, answer: str, entry_point: str) -> Callable[..., Any]:
    """The function that the answer defines; one that raises where it defines none."""
    try:
        space: dict[str, Any] = {"__name__": "candidate"}
        exec(compile(assemble(question, answer, entry_point), "<answer>", "exec"), space)  # noqa: S102
        return space[entry_point]
    except BaseException as error:  # noqa: BLE001 - SystemExit is an answer too: the wrong one
        return _raising(error)


def _raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def _reply(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    try:
        return dumps(("value", function(*args, **kwargs)))
    except BaseException as error:  # noqa: BLE001 - a test may ask for any exception
        return dumps(("raised", type(error).__name__, str(error)[:200]))


def assemble(question: str, answer: str, entry_point: str) -> str:
    """The program that an answer means: the whole function behind the question's head, or its body.

    Args:
        question: the head of the function, with the imports and helpers before it.
        answer: a body, or the function, in a Markdown fence or not.
        entry_point: the function's name.
    """
    fenced = _FENCE.findall(answer)
    defines = re.compile(rf"^(?:async )?def {re.escape(entry_point)}\b", re.MULTILINE)
    codes = [code for code in fenced if defines.search(textwrap.dedent(code))] or fenced or [answer]
    code = codes[-1]
    if defines.search(textwrap.dedent(code)):
        return question[: _start(defines, question)] + textwrap.dedent(code)
    programs = [f"{question.rstrip()}\n{body}" for body in _bodies(code)]
    return next((program for program in programs if _compiles(program)), programs[0])


def _start(defines: re.Pattern[str], question: str) -> int:
    """Where the last head of the function starts in the question."""
    return max((match.start() for match in defines.finditer(question)), default=len(question))


def _bodies(code: str) -> Iterator[str]:
    """The code as a body; whole, its first line or all of it may have lost the indentation."""
    body = code.strip("\n").rstrip()
    if body[:1].isspace():
        yield body
        return
    indented = textwrap.indent(body, "    ")
    if not _compiles(body):  # the first line alone stands too far left
        yield indented[:4] + body
    yield indented


def _compiles(program: str) -> bool:
    try:
        ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
