"""Questions from a file of the user's: strict, and of any benchmark."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.benchmarks import load_problems
from rbridge.benchmarks.problems import Problem
from rbridge.errors import InputError


def write_lines(path: Path, *lines: object) -> str:
    """A JSONL file of these lines; a text is written as it is."""
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))
    return str(path)


def test_file_serves_any_benchmark(tmp_path) -> None:
    """Lines that name no benchmark belong to the one asked for, others only to their own."""
    file = write_lines(
        tmp_path / "q.jsonl",
        {"problem_id": "a", "question": "1 + 1?", "answer": "2"},
        "",
        {"benchmark": "other", "problem_id": "b", "question": "1 + 2?", "answer": 3},
        {"benchmark": "mine", "problem_id": 4, "question": "Pick.", "answer": "B", "choices": ["x", "y"]},
    )
    loaded = load_problems("mine", file)
    assert loaded.source == file
    assert loaded.problems == (
        Problem("mine", "a", "1 + 1?", "1 + 1?", "2"),
        Problem("mine", "4", "Pick.", "Pick.", "B", ("x", "y")),
    )
    assert [problem.answer for problem in load_problems("other", file).problems] == ["2", "3"]


def test_file_of_arc_questions_stores_them_as_the_reference_does(tmp_path) -> None:
    """With or without the wrapper in the file, question and hash are those of the reference files."""
    known = load_problems("arc_challenge").by_id["Mercury_410602"]
    for number, text in enumerate((known.question, known.stored)):
        row = {"problem_id": "x", "question": text, "answer": known.answer, "choices": list(known.choices)}
        read = load_problems("arc_challenge", write_lines(tmp_path / f"{number}.jsonl", row)).by_id["x"]
        assert (read.question, read.question_sha256) == (known.question, known.question_sha256)


def test_an_edited_file_is_read_anew(tmp_path) -> None:
    """The cache looks at the file's time and size."""
    row = {"problem_id": "a", "question": "1 + 1?", "answer": "2"}
    file = write_lines(tmp_path / "q.jsonl", row)
    assert len(load_problems("mine", file).problems) == 1
    write_lines(tmp_path / "q.jsonl", row, {**row, "problem_id": "b"})
    assert len(load_problems("mine", file).problems) == 2


GOOD = {"problem_id": "a", "question": "Q?", "answer": "B", "choices": ["x", "y"]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"q\.jsonl:2: Invalid JSON"),
        ("[1]", r"q\.jsonl:2: Input should be an object"),
        (r'{"problem_id": "b", "question": "\ud800", "answer": "B"}', r"q\.jsonl:2: Invalid JSON"),
        (
            {"problem_id": "b", "answer": "B"},
            r"q\.jsonl:2: field 'question': Field required; expected an object with",
        ),
        ({**GOOD, "problem_id": None}, r"q\.jsonl:2: field 'problem_id': Input should be a valid string"),
        ({**GOOD, "problem_id": True}, r"q\.jsonl:2: field 'problem_id': Input should be a valid string"),
        (
            {**GOOD, "problem_id": "b", "choice": []},
            r"q\.jsonl:2: field 'choice': Extra inputs are not permitted; .*choices",
        ),
        (
            {**GOOD, "problem_id": "b", "choices": ["x"]},
            r"q\.jsonl:2: field 'choices': List should have at least 2",
        ),
        (
            {**GOOD, "problem_id": "b", "answer": "C"},
            r"q\.jsonl:2: answer is 'C', expected the letter of an option, A to B",
        ),
        (
            {"problem_id": "b", "question": "Q?", "answer": "B"},
            r"q\.jsonl:2: no options: add choices, or list them",
        ),
        (GOOD, r"q\.jsonl:2 \(csqa/a\): problem_id stands already in line 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message) -> None:
    """Every bad line is one error of one line with file and line number."""
    with pytest.raises(InputError, match=message) as caught:
        load_problems("csqa", write_lines(tmp_path / "q.jsonl", GOOD, line))
    assert "\n" not in str(caught.value)


def test_a_file_without_the_benchmark_is_an_error(tmp_path) -> None:
    """An empty file, or one of other benchmarks, does not become an empty benchmark."""
    file = write_lines(tmp_path / "q.jsonl", {**GOOD, "benchmark": "other"})
    with pytest.raises(
        InputError, match=r"q\.jsonl: no question of 'csqa', expected lines of that benchmark or of none"
    ):
        load_problems("csqa", file)


@given(
    question=st.text(st.characters(exclude_categories=("Cs",)), min_size=1),
    answer=st.text(st.characters(exclude_categories=("Cs",)), min_size=1),
)
def test_any_text_survives_the_file(tmp_path_factory, question, answer) -> None:
    """Question and answer come back code point by code point, line separators of Unicode included."""
    row = {"problem_id": "a", "question": question, "answer": answer}
    path = tmp_path_factory.mktemp("questions") / "q.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    assert load_problems("mine", str(path)).problems == (Problem("mine", "a", question, question, answer),)


def test_a_folder_is_not_a_file_of_questions(tmp_path) -> None:
    """A folder with the ending of a file is the user's error."""
    (tmp_path / "q.jsonl").mkdir()
    with pytest.raises(InputError, match=r"q\.jsonl: Is a directory, expected a \.jsonl file of questions"):
        load_problems("mine", str(tmp_path / "q.jsonl"))
