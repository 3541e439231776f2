"""What a proxy reads: templates to the letter, worked examples in front."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbridge.benchmarks import BENCHMARKS, build_prompt, load_problems, num_examples, strip_wrapper
from rbridge.benchmarks.problems import wrap
from rbridge.errors import InputError

NAMES = [benchmark.name for benchmark in BENCHMARKS]
CHOICE_NAMES = [benchmark.name for benchmark in BENCHMARKS if benchmark.form == "choices"]


@pytest.mark.parametrize("benchmark", ["gsm8k", "math500", "my-own"])
def test_plain_template(benchmark) -> None:
    """GSM8K, MATH500 and unknown benchmarks: the question between its two marks."""
    assert build_prompt(benchmark, "What is 2 + 3?", None, 0) == "Question: What is 2 + 3?\nAnswer:"


@pytest.mark.parametrize("benchmark", CHOICE_NAMES)
@pytest.mark.parametrize("question", ["Pick one.", "Question: Pick one.\nAnswer:"])
def test_multiple_choice_template(benchmark, question) -> None:
    """The stored wrapper is taken off once and the options stand under the question."""
    expected = "Question: Pick one.\nA. cat\nB. dog\nC. hen\nAnswer:"
    assert build_prompt(benchmark, question, ["cat", "dog", "hen"], 0) == expected


def test_only_one_wrapper_is_taken_off() -> None:
    """A question that has the words of a wrapper inside keeps them."""
    prompt = build_prompt("csqa", "Question: Question: Pick.\nAnswer:\nAnswer:", ["x", "y"], 0)
    assert prompt == "Question: Question: Pick.\nAnswer:\nA. x\nB. y\nAnswer:"


@pytest.mark.parametrize("choices", [None, [], ["cat", "dog"]])
def test_options_that_the_question_shows_are_not_repeated(choices) -> None:
    """A question that lists its options is complete, with or without a list of choices."""
    question = "Pick one.\nA. cat\nB. dog"
    assert build_prompt("mmlu_stem", question, choices, 0) == f"Question: {question}\nAnswer:"


def test_humaneval_template() -> None:
    """The function's head stands under a request to complete it, to the letter of interfaces.md."""
    prompt = build_prompt("humaneval", "def f():\n    pass\n", None, 0)
    assert prompt == "Question: Complete this Python function.\ndef f():\n    pass\n\nAnswer:"


def test_ten_options_reach_j() -> None:
    """MMLU-Pro's ten options are A to J."""
    assert build_prompt("mmlu_pro_stem", "Q", [str(n) for n in range(10)], 0).endswith(
        "\nI. 8\nJ. 9\nAnswer:"
    )


def test_stored_arc_text_gives_the_prompt_of_the_clean_text() -> None:
    """Over the real benchmark, it does not matter which of the two a bundle row holds."""
    for problem in load_problems("arc_challenge").problems:
        prompts = {
            build_prompt("arc_challenge", q, problem.choices, 0) for q in (problem.question, problem.stored)
        }
        assert len(prompts) == 1


@given(text=st.text())
def test_the_wrapper_comes_off_as_it_went_on(text) -> None:
    """Stripping undoes wrapping, whatever the text is."""
    assert strip_wrapper(wrap(text)) == text


@pytest.mark.parametrize("benchmark", NAMES)
def test_fewer_shots_drop_the_first_examples(benchmark) -> None:
    """Each prompt is the end of the next longer one, cut at the start of an example."""
    prompts = [build_prompt(benchmark, "What?", ["x", "y"], shots) for shots in range(6)]
    for shorter, longer in itertools.pairwise(prompts):
        assert longer.endswith(f"\n\n{shorter}")
        assert longer.startswith("Question: ")
    for shots, prompt in enumerate(prompts):
        assert prompt.count("\nAnswer:") == prompt.count("\n\nQuestion: ") + 1 == shots + 1


def test_a_shot_is_question_reasoning_and_answer() -> None:
    """One shot of GSM8K, read against its file."""
    prompt = build_prompt("gsm8k", "What?", None, 1)
    assert prompt.startswith("Question: A baker pulls 320 rolls out of the oven, ")
    assert "?\nAnswer: The burnt rolls number 320 * 15 / 100 = 48, " in prompt
    assert prompt.endswith(" = 119 dollars. The answer is 119.\n\nQuestion: What?\nAnswer:")


@pytest.mark.parametrize(
    ("benchmark", "shots", "message"),
    [
        ("gsm8k", 6, r"6 shots for benchmark 'gsm8k': it has 5 worked examples: ask for 0 to 5 shots"),
        ("my-own", 1, r"1 shots for benchmark 'my-own': it has 0 worked examples: ask for 0 to 0 shots"),
        ("../examples/gsm8k", 1, r"it has 0 worked examples"),
        ("gsm8k", -1, r"-1 shots for benchmark 'gsm8k'"),
    ],
)
def test_shots_without_examples_are_an_error(benchmark, shots, message) -> None:
    """More shots than there are examples is never a silent 0."""
    with pytest.raises(InputError, match=message):
        build_prompt(benchmark, "What?", None, shots)


def test_a_multiple_choice_question_without_options_is_an_error() -> None:
    """A proxy is never asked to pick from nothing."""
    with pytest.raises(
        InputError, match=r"a csqa problem \('Pick one\.'\.\.\.\) has no options: give its choices"
    ):
        build_prompt("csqa", "Pick one.", None, 0)


def test_more_options_than_letters_are_an_error() -> None:
    """No option is dropped for want of a letter."""
    with pytest.raises(InputError, match="option 27 has no letter"):
        build_prompt("csqa", "Pick one.", ["x"] * 27, 0)


def test_every_benchmark_has_five_examples() -> None:
    """``--shots 5`` works for each benchmark that we know."""
    assert {name: num_examples(name) for name in NAMES} == dict.fromkeys(NAMES, 5)
