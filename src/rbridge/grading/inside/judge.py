"""The judge's process: it runs the tests on a function that it reaches only through a pipe.

Its verdict goes to a stdout that the candidate's process does not have.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import sys
from pathlib import Path
from typing import IO, Any

from rbridge.grading.inside.wire import dumps, limit_process, loads

_LONGEST = 64 << 20  # bytes of one reply


class CandidateGone(Exception):
    """The candidate's process ended, or does not speak the protocol."""


class Remote:
    """The candidate's function, called through the pipe."""

    def __init__(self, calls: IO[str], replies: IO[str]) -> None:
        self._calls = calls
        self._replies = replies
        self.num_calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the candidate returns, as plain data, or the builtin exception that it raised."""
        self.num_calls += 1
        try:
            self._calls.write(dumps((args, kwargs)) + "\n")
            self._calls.flush()
            kind, *body = loads(self._replies.readline(_LONGEST))
        except (OSError, ValueError, TypeError, KeyError, RecursionError, MemoryError) as error:
            raise CandidateGone from error
        if kind == "value":
            return body[0]
        raised = getattr(builtins, body[0], None)
        if isinstance(raised, type) and issubclass(raised, Exception):
            raise raised(body[1])
        raise RuntimeError(f"{body[0]}: {body[1]}")


def main(job: str, calls: int, replies: int, cpu_seconds: int, memory: int) -> None:
    """Run the tests of the job and print the verdict: passed, failed, or broken tests."""
    limit_process(cpu_seconds, memory)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdin = io.StringIO()
    remote = Remote(os.fdopen(calls, "w", encoding="utf-8"), os.fdopen(replies, encoding="utf-8"))
    outcome, reason = _judge(remote, **loads(Path(job).read_text(encoding="utf-8")))
    out.write(json.dumps([outcome, " ".join(reason.split())[:200]]))
    out.flush()
    os._exit(0)  # without closing the pipe, whose reader may be gone


def _judge(remote: Remote, question: str, tests: str, entry_point: str) -> tuple[str, str]:
    try:
        space: dict[str, Any] = {"__name__": "tests"}
        # The question's helpers, which some tests call; its own function stays empty.
        exec(compile(f"{question.rstrip()}\n    pass\n", "<question>", "exec"), space)  # noqa: S102
        space[entry_point] = remote
        exec(compile(tests, "<tests>", "exec"), space)  # noqa: S102
        check = space["check"]
    except BaseException as error:  # noqa: BLE001 - user's own tests may fail in any way
        return "broken", f"the tests do not load: {type(error).__name__}: {error}"
    try:
        check(remote)
    except CandidateGone:
        return "failed", "the code ended the process, ran out of time or memory, or returned no data"
    except BaseException as error:  # noqa: BLE001 - whatever is raised, the tests did not pass
        return "failed", f"{type(error).__name__}: {error}".removesuffix(": ")
    if remote.num_calls == 0:
        return "broken", "the tests never call the function"
    return "passed", f"all tests passed ({remote.num_calls} calls)"
