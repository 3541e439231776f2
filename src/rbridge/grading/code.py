"""Code, run against its tests: the answer in one sandboxed process, the tests in another.

The tests call the answer's function through a pipe and compare plain data in a process that the
answer's code cannot reach, and only that process gives the verdict. So nothing that the code does to its own
Python, its output or its exit status can make it pass.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator

from rbridge.benchmarks import Problem
from rbridge.errors import InputError
from rbridge.grading.inside.wire import dumps
from rbridge.grading.sandbox import CPU_SECONDS, MEMORY, WALL_SECONDS, Sandbox, make_sandbox, require_sandbox
from rbridge.grading.verdict import Verdict

_RUN = (
    "import sys; sys.path.insert(0, '/code'); from rbridge.grading.inside.{0} import main; main('/job', {1})"
)
_LIMITS = f"{CPU_SECONDS}, {MEMORY}"
# No more at once than processors, so that time on the clock is nearly time of work.
_SEATS = threading.BoundedSemaphore(os.cpu_count() or 1)


def check_code(problem: Problem, answer: str, *, seconds: float = WALL_SECONDS) -> Verdict:
    """Whether an answer passes all tests of its problem.

    Args:
        problem: its question is the head of a function; ``tests`` define ``check(candidate)``.
        answer: the function's body, or the whole function, in a Markdown fence or not.
        seconds: on the clock, for all tests; what takes longer is undecided. Ten seconds of work, or a gigabyte
            of memory, is too much and fails.

    Raises:
        MissingTool: there is no sandbox here.
        InputError: the problem has no tests.
    """
    if problem.tests is None or problem.entry_point is None:
        raise InputError(
            f"problem {problem.benchmark}/{problem.problem_id}: no tests to run; expected tests and entry_point"
        )
    require_sandbox()
    shared = {"question": problem.question, "entry_point": problem.entry_point}
    with (
        _SEATS,
        make_sandbox({"job": dumps({**shared, "answer": answer})}) as candidate,
        make_sandbox({"job": dumps({**shared, "tests": problem.tests})}) as judge,
    ):
        said = _run(candidate, judge, seconds)
    if said is None:
        return Verdict(None, f"the tests did not end in {seconds:g} s")
    if not said:
        return Verdict(None, "the tests' process gave no verdict")
    outcome, reason = json.loads(said)
    return Verdict({"passed": True, "failed": False}.get(outcome), reason)


def _run(candidate: Sandbox, judge: Sandbox, seconds: float) -> str | None:
    """What the judge says of the candidate; None where the time ran out."""
    with _pipe() as (calls_in, calls_out), _pipe() as (replies_in, replies_out):
        answering = subprocess.Popen(
            [*candidate.command, "-c", _RUN.format("candidate", _LIMITS)],
            stdin=calls_in, stdout=replies_out, stderr=subprocess.DEVNULL, pass_fds=candidate.files,
        )  # fmt: skip
        judging = subprocess.Popen(
            [*judge.command, "-c", _RUN.format("judge", f"{calls_out}, {replies_in}, {_LIMITS}")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            pass_fds=(*judge.files, calls_out, replies_in), text=True,
        )  # fmt: skip
    # Our own ends are closed now: a process that ends is an end of file for the other.
    try:
        return judging.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        return None
    finally:
        for process in (answering, judging):
            process.kill()  # bwrap's end is the end of everything inside
        judging.communicate()
        answering.wait()


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)
