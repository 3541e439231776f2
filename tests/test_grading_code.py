"""Code in the sandbox: right answers pass, and nothing hostile does. Never skipped where CI is set."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from bench.check_gold_answers import wrong_answer
from pytest_httpserver import HTTPServer

from rbridge.benchmarks import Problem, load_problems
from rbridge.errors import InputError, MissingTool
from rbridge.grading import add_benchmark, check_answer, require_checker, sandbox
from rbridge.grading.code import check_code
from rbridge.grading.inside import wire
from rbridge.traces.named import open_bundle


@pytest.fixture(autouse=True)
def real_sandbox() -> None:
    """These tests mean nothing without one; a machine that has none may still run the others."""
    try:
        require_checker("code")
    except MissingTool as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


HEAD = 'import math\n\n\ndef double(x):\n    """Twice x."""\n'
TESTS = """
def check(candidate):
    assert candidate(3) == 6
    assert candidate(5) == 10
    assert candidate(-2) == -4
"""
DOUBLE = Problem("mine", "0", HEAD, HEAD, "    return 2 * x\n", tests=TESTS, entry_point="double")


def body(text: str) -> str:
    """A function's body from a text at any indentation."""
    return textwrap.indent(textwrap.dedent(text).strip("\n"), "    ") + "\n"


# Every sixteenth, and those whose tests call helpers of the question.
SAMPLE = [p for n, p in enumerate(load_problems("humaneval").problems) if n % 16 == 0 or n in (32, 38)]


@pytest.mark.parametrize("problem", SAMPLE, ids=lambda problem: problem.problem_id)
def test_the_canonical_body_passes_and_an_empty_one_fails(problem: Problem) -> None:
    """A sample of HumanEval; all 164 in bench/check_gold_answers.py."""
    assert check_answer(problem, problem.answer).correct is True
    assert check_answer(problem, wrong_answer(problem)).correct is False


def test_answers_of_starter_traces_pass_as_recorded() -> None:
    """Code that a frontier model wrote, in the form that it wrote it in."""
    problems = load_problems("humaneval").by_id
    traces = [trace for trace in open_bundle("starter").traces if trace.key.benchmark == "humaneval"][::8]
    assert len(traces) == 5
    for trace in traces:
        assert check_answer(problems[trace.key.problem_id], trace.answer or "").correct is trace.correct, (
            trace.key
        )


@pytest.mark.parametrize(
    "answer",
    [
        "    return 2 * x",
        "return 2 * x",
        "y = x\nfor _ in range(1):\n    y += x\nreturn y",
        "y = x\n    y += x\n    return y",
        "def double(x):\n    return 2 * x",
        "    def double(x):\n        return 2 * x",
        "Here it is:\n```python\ndef helper(x):\n    return x\n\ndef double(x):\n    return helper(x) + x\n```\nDone.",
        "```\n    return 2 * x\n```",
        "    print('noise', flush=True)\n    return int(math.fsum([x, x]))",
    ],
)
def test_a_body_or_a_function_is_understood_however_it_is_given(answer: str) -> None:
    """With or without indentation, fence, helpers and the question's imports."""
    assert check_code(DOUBLE, answer).correct is True


HOSTILE = {
    "exits before the tests": "import os\nos._exit(0)",
    "exits politely": "raise SystemExit(0)",
    "prints what may be the mark of success": """
        import os, sys
        for text in ('["passed", ""]', '["value", 6]', '["value", null]'):
            for place in range(1, 10):
                try:
                    os.write(place, text.encode() + b"\\n")
                except OSError:
                    pass
        os._exit(0)""",
    "an object equal to everything": """
        class Equal:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return 0
        return Equal()""",
    "a number that lies": """
        class Lie(int):
            def __eq__(self, other): return True
        return Lie(1)""",
    "takes assert apart": """
        import builtins, sys
        builtins.AssertionError = type("Never", (BaseException,), {})
        sys.excepthook = lambda *_: None
        sys.settrace(lambda *_: None)
        builtins.isinstance = lambda *_: True
        return 1""",
    "looks for the caller": """
        import sys, gc
        frame = sys._getframe()
        while frame:
            frame.f_locals.update(outcome="passed", num_calls=9)
            frame = frame.f_back
        for thing in gc.get_objects():
            if type(thing).__name__ == "Remote":
                thing.num_calls = 9
        return None""",
    "patches the protocol": """
        from rbridge.grading.inside import wire, candidate
        candidate.dumps = wire.dumps = lambda value: '["passed", "all tests passed"]'
        return None""",
    "a fork bomb": "import os\nwhile True:\n    os.fork()",
    "a thread bomb": "import threading\nwhile True:\n    threading.Thread(target=input).start()",
    "fills the memory": "hog = []\nwhile True:\n    hog.append(bytearray(1 << 26))",
    "replies without end": "return 'x' * (1 << 29)",
    "nests too deep": "deep = []\nfor _ in range(10**5):\n    deep = [deep]\nreturn deep",
    "a name for a verdict": "return type('passed', (), {'__repr__': lambda _: '6'})()",
}


@pytest.mark.parametrize("trick", HOSTILE)
def test_no_trick_passes(trick: str, monkeypatch) -> None:
    """Each is told wrong, not merely left open, and at once; with less memory, so that it is full sooner."""
    monkeypatch.setattr("rbridge.grading.code._LIMITS", f"{sandbox.CPU_SECONDS}, {1 << 28}")
    assert check_code(DOUBLE, body(HOSTILE[trick])).correct is False


def test_work_without_end_fails_when_its_time_is_up(monkeypatch) -> None:
    """By processor time; sleeping takes none, so there the clock decides, and leaves it open."""
    monkeypatch.setattr("rbridge.grading.code._LIMITS", f"1, {sandbox.MEMORY}")
    assert check_code(DOUBLE, "    while True: pass").correct is False
    asleep = check_code(DOUBLE, "    import time\n    time.sleep(1000)", seconds=2.0)
    assert (asleep.correct, asleep.reason) == (None, "the tests did not end in 2 s")


# Each gives the right answer only where it got out.
ESCAPES = {
    "writes": "open({outside!r}, 'w').write('x')",
    "writes beside itself": "open('/x', 'w')",
    "makes a folder": "__import__('os').mkdir('/code/x')",
    "reads the project": "open({inside!r}).read()",
    "reads the passwords": "open('/etc/passwd').read()",
    "sees other processes": "__import__('os').listdir('/proc')",
    "reads the environment": "__import__('os').environ['PATH']",
    "connects": "__import__('socket').create_connection(('127.0.0.1', {port}), 2)",
    "runs a program": "__import__('subprocess').run(['/usr/bin/true'], check=True)",
    "kills": "__import__('os').kill({pid}, 0)",
    "raises its limits": "__import__('resource').setrlimit(__import__('resource').RLIMIT_FSIZE, (9, 9))",
}  # fmt: skip


def escape_code(escape: str, outside: Path, server: HTTPServer) -> str:
    """The code of an escape, aimed at a file, this test's server and this process."""
    return ESCAPES[escape].format(outside=str(outside), inside=__file__, port=server.port, pid=os.getpid())


@pytest.mark.parametrize("escape", ESCAPES)
def test_nothing_gets_out_of_the_sandbox(escape: str, tmp_path: Path, httpserver: HTTPServer) -> None:
    """Files, network, processes and environment of the machine are out of reach."""
    import os

    outside = tmp_path / "outside"
    code = ESCAPES[escape].format(
        outside=str(outside), inside=__file__, port=httpserver.port, pid=os.getpid()
    )
    verdict = check_code(DOUBLE, body(f"{code}\nreturn 2 * x"))
    assert verdict.correct is False
    assert not outside.exists()
    assert not httpserver.log


def test_the_escapes_are_real_outside(tmp_path: Path, httpserver: HTTPServer) -> None:
    """The same code runs well where there is no sandbox, so its failure above means something."""
    for escape in (
        "writes",
        "reads the project",
        "reads the passwords",
        "connects",
        "runs a program",
        "kills",
    ):
        code = escape_code(escape, tmp_path / "x", httpserver)
        subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "x").exists()


def test_tests_that_do_not_load_or_call_nothing_are_undecided() -> None:
    """The fault is the benchmark's, not the answer's."""
    for tests, reason in (
        ("def check(candidate:", "the tests do not load: SyntaxError"),
        ("x = 1", "the tests do not load: KeyError"),
        ("def check(candidate):\n    pass\n", "the tests never call the function"),
    ):
        verdict = check_code(dataclasses.replace(DOUBLE, tests=tests), DOUBLE.answer)
        assert verdict.correct is None
        assert verdict.reason.startswith(reason)
    with pytest.raises(InputError, match="problem mine/0: no tests to run"):
        check_code(dataclasses.replace(DOUBLE, tests=None), DOUBLE.answer)


def test_a_test_may_ask_for_an_exception_and_for_plain_data_of_any_kind() -> None:
    """Values keep their type on the way, exceptions their name."""
    tests = textwrap.dedent("""
        def check(candidate):
            for value in (None, True, 2**5000, 1.5, float("inf"), "é\\ud800", b"x", (1, [2, {3}]), {1: {"a": ()}}, 2j):
                got = candidate(value)
                assert got == value and type(got) is type(value)
            try:
                candidate("raise")
            except ZeroDivisionError:
                return
            assert False
    """)
    problem = dataclasses.replace(DOUBLE, tests=tests)
    assert check_code(problem, "    return 1 / 0 if x == 'raise' else x").correct is True
    assert check_code(problem, "    return x").correct is False
    assert (
        check_code(
            problem, "    return 1 / 0 if x == 'raise' else list(x) if isinstance(x, tuple) else x"
        ).correct
        is False
    )


def test_foreign_values_fail_whatever_is_asked_of_them() -> None:
    """Neither equal, nor unequal, nor true, nor text."""
    found = wire.loads(wire.dumps(object()))
    for ask in (
        lambda: found == 1,
        lambda: found != 1,
        lambda: bool(found),
        lambda: str(found),
        lambda: {found},
    ):
        with pytest.raises(TypeError, match="returned a object, which is no plain data"):
            ask()
    assert [wire.loads(wire.dumps(value)) for value in ([1, (2.5,)], {"list": [1]})] == [
        [1, (2.5,)],
        {"list": [1]},
    ]


def test_without_bubblewrap_nothing_is_run(monkeypatch, tmp_path: Path) -> None:
    """Missing, unusable, or not holding: refused in one line with the remedy."""
    mark = tmp_path / "ran"
    monkeypatch.setattr(sandbox, "require_sandbox", sandbox.require_sandbox.__wrapped__)
    monkeypatch.setattr("rbridge.grading.code.require_sandbox", sandbox.require_sandbox)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match=r"\(bwrap\), which is not installed: .*apt-get install bubblewrap"):
        check_code(DOUBLE, f"    open({str(mark)!r}, 'w')")
    (tmp_path / "bwrap").write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    (tmp_path / "bwrap").chmod(0o755)
    with pytest.raises(MissingTool, match="No permissions to create new namespace"):
        check_code(DOUBLE, f"    open({str(mark)!r}, 'w')")
    # One that runs its command bare: the probe sees that nothing is refused.
    (tmp_path / "bwrap").write_text('#!/bin/sh\nwhile [ "$1" != "--" ]; do shift; done\nshift\nexec "$@"\n')
    with pytest.raises(MissingTool, match=r"does not give one here \(\[False"):
        check_code(DOUBLE, f"    open({str(mark)!r}, 'w')")
    assert not mark.exists()
    monkeypatch.setattr(sandbox.platform, "machine", lambda: "riscv64")
    with pytest.raises(MissingTool, match="x86_64 or aarch64, this is riscv64"):
        sandbox.require_sandbox()


def test_a_benchmark_of_code_is_taken_in_with_bodies_that_pass(tmp_path: Path, monkeypatch) -> None:
    """A wrong gold body is refused with what the tests said."""
    monkeypatch.setenv("RBRIDGE_HOME", str(tmp_path / "home"))
    definition = tmp_path / "code.toml"
    definition.write_text(
        'name = "mine"\ntitle = "M"\ntask = "code"\nform = "code"\nchecker = "code"\nlicence = "l"\nproblems = "p"\n'
    )
    row = {
        "problem_id": "a",
        "question": HEAD,
        "answer": "    return x",
        "tests": TESTS,
        "entry_point": "double",
    }
    (tmp_path / "p").write_text(json.dumps(row))
    with pytest.raises(
        InputError, match=r"problem a: its gold answer .* does not pass the checker 'code' \(Assertion"
    ):
        add_benchmark(definition)
    (tmp_path / "p").write_text(json.dumps({**row, "answer": DOUBLE.answer}))
    assert add_benchmark(definition).unchecked is None
    assert check_answer(load_problems("mine").problems[0], "return x + x").correct is True
