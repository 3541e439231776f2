"""A benchmark of the user's: a few lines of TOML, a file of problems, and every command knows it by name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from rbridge.benchmarks import build_prompt, load_problems, num_examples, own_folder
from rbridge.errors import InputError
from rbridge.grading import add_benchmark, check_answer, sandbox
from rbridge.records import Trace, TraceKey
from rbridge.store.bundles import write_bundle
from tests.commands import rbridge

TOML = """\
name = "house_maths"
title = "House maths"
task = "arithmetic"
form = "free"
checker = "number"
licence = "internal"
problems = "maths.jsonl"

[[example]]
question = "What is 1 + 2?"
reasoning = "One and two more are three."
answer = "3"

[[example]]
question = "What is 2 * 5?"
reasoning = "Five and five are ten."
answer = "10"
"""
PROBLEMS = [
    {"problem_id": "a", "question": "What is 2 + 3?", "answer": "5"},
    {"problem_id": 7, "question": "What is 6 * 7?", "answer": 42},
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    """An empty folder as the place of the user's own benchmarks."""
    monkeypatch.setenv("RBRIDGE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def definition(folder: Path, text: str = TOML, problems: list[dict] = PROBLEMS) -> Path:
    """The two files of a benchmark."""
    (folder / "maths.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    (folder / "house.toml").write_text(text)
    return folder / "house.toml"


def test_an_added_benchmark_is_found_by_name(home: Path, tmp_path: Path, capsys) -> None:
    """Its problems, its examples in few-shot prompts, its checker, and its row in the list."""
    file = definition(tmp_path)
    added = rbridge(capsys, "benchmarks", "add", file)
    assert (added.status, added.out) == (0, "")
    assert (
        added.err
        == f"house_maths: 2 problems, checker number, kept in {home / 'benchmarks' / 'house_maths'}\n"
    )
    file.unlink()  # copies are kept
    (tmp_path / "maths.jsonl").unlink()

    problems = load_problems("house_maths").by_id
    assert (problems["7"].question, problems["7"].answer) == ("What is 6 * 7?", "42")
    assert check_answer(problems["7"], "$42.00").correct is True
    assert num_examples("house_maths") == 2
    assert build_prompt("house_maths", problems["a"].question, None, 1) == (
        "Question: What is 2 * 5?\nAnswer: Five and five are ten. The answer is 10.\n\n"
        "Question: What is 2 + 3?\nAnswer:"
    )
    with pytest.raises(InputError, match="5 shots for benchmark 'house_maths': it has 2 worked examples"):
        build_prompt("house_maths", "What is 2 + 3?", None, 5)

    row = rbridge(capsys, "benchmarks", "list", "--json").document["benchmarks"][-1]
    assert row == {
        "name": "house_maths", "title": "House maths", "form": "free", "checker": "number", "num_problems": 2,
        "source": str(home / "benchmarks" / "house_maths" / "problems.jsonl"), "remedy": None, "num_examples": 2,
        "licence": "internal",
    }  # fmt: skip
    shown = rbridge(capsys, "benchmarks", "show", "house_maths", "7", "--json").document
    assert (shown["prompt"], shown["answer"]) == ("Question: What is 6 * 7?\nAnswer:", "42")
    assert "house_maths" in rbridge(capsys, "benchmarks", "show", "house_math").err  # near names include it


@pytest.mark.usefixtures("home")
def test_traces_of_an_added_benchmark_are_scored_by_name(tmp_path: Path, capsys) -> None:
    """From a bundle without questions, with the benchmark's own worked examples."""
    from tests.checkpoints import build

    add_benchmark(definition(tmp_path))
    traces = [
        Trace(TraceKey("house_maths", name, "me"), reasoning="Two and three are five.") for name in ("a", "7")
    ]
    write_bundle(tmp_path / "bundle", traces)
    checkpoint = build("gpt2", tmp_path / "model")
    arguments = ("score", checkpoint, "--traces", tmp_path / "bundle", "-o", tmp_path / "runs", "--json")
    for shots in (0, 2):
        run = rbridge(capsys, *arguments, "--shots", shots).document["runs"][0]
        assert (run["benchmark"], run["shots"], run["num_scored"], run["num_skipped"]) == (
            "house_maths",
            shots,
            2,
            0,
        )
    assert "it has 2 worked examples" in rbridge(capsys, *arguments, "--shots", 5).err


@pytest.mark.usefixtures("home")
def test_a_name_is_taken_once_unless_replaced(tmp_path: Path, capsys) -> None:
    """The edited file counts at once, in the same process too."""
    file = definition(tmp_path)
    add_benchmark(file)
    again = rbridge(capsys, "benchmarks", "add", file)
    assert (again.status, again.err.count("\n")) == (1, 1)
    assert "'house_maths' was added already: --replace" in again.err
    definition(tmp_path, TOML.replace("Five and five are ten.", "It is ten."), PROBLEMS[:1])
    assert rbridge(capsys, "benchmarks", "add", file, "--replace").status == 0
    assert len(load_problems("house_maths").problems) == 1
    assert "It is ten." in build_prompt("house_maths", "Q", None, 1)
    kept = own_folder("house_maths") / "benchmark.toml"
    kept.write_text(kept.read_text().replace("house_maths", "other_maths"))
    with pytest.raises(InputError, match="name is 'other_maths', expected 'house_maths' as its folder"):
        load_problems("house_maths")


@pytest.mark.usefixtures("home")
def test_choices_text_and_latex_can_be_checked_too(tmp_path: Path) -> None:
    """One of the checkers by its name."""
    choices = (
        TOML.split("\n[[example]]", maxsplit=1)[0].replace("free", "choices").replace('"number"', '"letter"')
        + '[[example]]\nquestion = "Hot?"\nreasoning = "Fire burns."\nanswer = "B"\nchoices = ["ice", "fire"]\n'
    )
    added = add_benchmark(
        definition(
            tmp_path,
            choices,
            [{"problem_id": "a", "question": "Cold?", "answer": "A", "choices": ["ice", "fire"]}],
        )
    )
    assert added.benchmark.checker == "letter"
    problem = load_problems("house_maths").problems[0]
    assert build_prompt("house_maths", problem.question, problem.choices, 1) == (
        "Question: Hot?\nA. ice\nB. fire\nAnswer: Fire burns. The answer is B.\n\n"
        "Question: Cold?\nA. ice\nB. fire\nAnswer:"
    )
    assert [check_answer(problem, answer).correct for answer in ("ice", "(A)", "B")] == [True, True, False]
    for checker, gold, other in (("text", "Paris", "paris."), ("latex", r"\frac12", "0.5")):
        text = TOML.replace('"number"', f'"{checker}"').replace("house_maths", f"house_{checker}")
        add_benchmark(definition(tmp_path, text, [{"problem_id": "a", "question": "Q?", "answer": gold}]))
        assert check_answer(load_problems(f"house_{checker}").problems[0], other).correct is True


@pytest.mark.usefixtures("home")
def test_code_is_taken_in_unchecked_where_there_is_no_sandbox(tmp_path: Path, monkeypatch, capsys) -> None:
    """With a line that says so; where there is one, see test_grading_code.py."""
    head = 'def double(x):\n    """Twice x."""\n'
    row = {"problem_id": "a", "question": head, "answer": "    return x", "entry_point": "double",
           "tests": "def check(candidate):\n    assert candidate(2) == 4\n"}  # fmt: skip
    text = TOML.split("\n[[example]]", maxsplit=1)[0].replace("free", "code").replace('"number"', '"code"')
    file = definition(tmp_path, text, [row])
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: None)
    sandbox.require_sandbox.cache_clear()
    result = rbridge(capsys, "benchmarks", "add", file)
    assert result.status == 0
    assert "its gold answers were not checked: checking code needs the sandbox bubblewrap" in result.err


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("free", "riddle"), r"toml:4: field 'form': Input should be 'free', 'choices' or 'code' \(found 'riddle'\);"),
        (('"number"', '"letter"'), r"toml:5: form 'free' cannot be checked by 'letter', expected checker number"),
        (("house_maths", "gsm8k"), r"house\.toml:1: 'gsm8k' is a benchmark that ships: take another name"),
        (("house_maths", "../x"), r"house\.toml:1: field 'name': String should match pattern"),
        (('licence = "internal"\n', ""), r"house\.toml: field 'licence': Field required; expected name, title, task"),
        (("licence", "license"), r"house\.toml: field 'licence': Field required"),
        (("licence =", "licence"), r"house\.toml: no TOML \(Expected '=' .*line 6, column 9\)\); expected name, title"),
        (('answer = "10"', "answer = 10"), r"toml:14: example 2: field 'answer': Input should be a valid string"),
        (('answer = "10"', 'choices = ["a", "b"]\nanswer = "10"'), r"example 2: form 'free' has no choices: take out"),
        (("maths.jsonl", "none.jsonl"), r"none\.jsonl: No such file or directory"),
        (("[[example]]", 'closing = "So."\n[[example]]'), r"house\.toml:\d+: closing is 'So\.', expected {answer}"),
    ],
)  # fmt: skip
def test_bad_toml_is_one_line_with_place_and_remedy(
    change, message, tmp_path: Path, capsys, home: Path
) -> None:
    """Nothing is kept."""
    file = definition(tmp_path, TOML.replace(*change, 1))
    with pytest.raises(InputError, match=message):
        add_benchmark(file)
    result = rbridge(capsys, "benchmarks", "add", file)
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert not home.exists()


@pytest.mark.usefixtures("home")
def test_a_gold_answer_that_fails_its_checker_is_refused(tmp_path: Path) -> None:
    """With the problem, the answer and what is wrong with it."""
    problems = [*PROBLEMS, {"problem_id": "b", "question": "Half a dozen?", "answer": "six"}]
    message = (
        r"maths\.jsonl: problem b: its gold answer 'six' does not pass the checker 'number' \(the gold answer"
    )
    with pytest.raises(InputError, match=message):
        add_benchmark(definition(tmp_path, problems=problems))


def test_definitions_differ_only_where_they_say(home: Path, tmp_path: Path) -> None:
    """What is kept is what was read."""
    added = add_benchmark(definition(tmp_path))
    assert added.unchecked is None
    kept = dataclasses.replace(added.benchmark, own=None)
    assert (kept.name, kept.title, kept.task, kept.licence, kept.hub, kept.olmo) == (
        "house_maths", "House maths", "arithmetic", "internal", None, None,
    )  # fmt: skip
    assert added.folder == home / "benchmarks" / "house_maths"
    with pytest.raises(InputError, match="the hub has no questions of 'house_maths', which was added here"):
        load_problems("house_maths", "hub")
