"""The miniature's problems and chains, checked by reading the chains back."""

import math
import random
import re

import pytest

from rbridge.miniature.styles import draw_document, other_problem_chain, other_words_chain
from rbridge.miniature.world import (
    MAX_TOTAL,
    Problem,
    Step,
    draw_problem,
    read_answer,
    standard_chain,
    stream,
)

EQUATION = re.compile(r"(\d+) ([+-]) (\d+) = (\d+)\.")


def equations(text: str) -> list[tuple[int, int, int]]:
    """Each equation of a chain as (left, right result, written result)."""
    return [
        (int(left), int(left) + int(right) if sign == "+" else int(left) - int(right), int(result))
        for left, sign, right, result in EQUATION.findall(text)
    ]


def problems(number: int, split: str = "train") -> list[Problem]:
    """Problems for a test."""
    rng = stream(f"test {split}")
    return [draw_problem(rng, split=split) for _ in range(number)]


def test_the_example_of_the_docs():
    """The question, the totals and the answer of a problem worked by hand."""
    problem = Problem("Finn", "stamps", 7, (Step("doubles", "+", None), Step("gives", "-", 5)))
    assert problem.question == "Finn has 7 stamps, doubles, gives 5. How many stamps?"
    assert problem.prompt == "Q: Finn has 7 stamps, doubles, gives 5. How many stamps?\nA:"
    assert problem.totals == [7, 14, 9]
    assert re.fullmatch(
        r"[\w ]+\. \w+ doubles: 7 \+ 7 = 14\. \w+ gives 5: 14 - 5 = 9\. Answer: 9",
        standard_chain(problem, random.Random(0)).text,
    )


def test_standard_chains_are_right():
    """Every equation holds, starts from the total before it, and the last one is the answer."""
    rng = random.Random(1)
    for problem in problems(500):
        chain = standard_chain(problem, rng)
        written = equations(chain.text)
        assert [result for _, _, result in written] == problem.totals[1:]
        assert all(right == result for _, right, result in written)
        assert chain.answer == problem.answer == read_answer(f" {chain.text}")
        assert all(1 <= total <= MAX_TOTAL for total in problem.totals)


@pytest.mark.parametrize("rate", [0.15, 0.5])
def test_noisy_chains_are_wrong_at_the_stated_rate(rate: float):
    """The share of wrong equations is the stated one, and each goes on from what was written before."""
    rng = random.Random(2)
    num_steps = num_wrong = 0
    for problem in problems(800):
        chain = standard_chain(problem, rng, error_rate=rate)
        written = equations(chain.text)
        assert [left for left, _, _ in written] == [problem.start, *(result for _, _, result in written[:-1])]
        assert all(1 <= result <= MAX_TOTAL for _, _, result in written)
        assert chain.answer == written[-1][2]
        num_steps += len(written)
        num_wrong += sum(right != result for _, right, result in written)
    assert abs(num_wrong / num_steps - rate) < 4 * math.sqrt(rate * (1 - rate) / num_steps)


def test_chains_of_another_problem_hold_but_seldom_answer():
    """Their arithmetic is right throughout; the answer is that of the question only by chance."""
    rng = random.Random(3)
    pairs = [(problem, other_problem_chain(problem, rng)) for problem in problems(500)]
    assert all(right == result for _, chain in pairs for _, right, result in equations(chain.text))
    assert sum(chain.answer == problem.answer for problem, chain in pairs) < 60


def test_other_words_reach_the_same_answer_without_an_equation():
    """Right reasoning in other words shares the answer sentence with the standard, and no equation."""
    rng = random.Random(4)
    for problem in problems(200):
        chain = other_words_chain(problem, rng)
        assert chain.answer == problem.answer
        assert not equations(chain.text)
        assert chain.text.endswith(f". Answer: {problem.answer}")


def test_splits_share_no_numbers():
    """A held-out problem's numbers never occur in training, whatever name, item or verb stands with them."""

    def numbers(split: str) -> set[tuple]:
        return {(p.start, *((s.sign, s.amount) for s in p.steps)) for p in problems(300, split)}

    train, traces, accuracy = numbers("train"), numbers("traces"), numbers("accuracy")
    assert not train & traces
    assert not train & accuracy
    assert not traces & accuracy


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (" So 2 + 2 = 4. Answer: 4", 4),
        (" Answer: 12", 12),
        (" So 2 + 2 = 4.", None),
        (" Answer: 4 Answer: x", None),
        ("", None),
    ],
)
def test_read_answer(reply: str, answer: int | None):
    """An answer counts only where the reply ends in the answer sentence."""
    assert read_answer(reply) == answer


def test_a_seed_fixes_the_text_everywhere():
    """The recorded targets rest on these very texts: a change here means that they must be made again."""
    question = "Q: Finn has 5 shells, finds 5, finds 3. How many shells?\nA:"
    chains = {
        "standard": "Let us count. So finds 5: 5 + 5 = 10. So finds 3: 10 + 3 = 13. Answer: 13",
        "15 % of steps wrong": "Let us count. So finds 5: 5 + 5 = 10. Next finds 3: 10 + 3 = 5. Answer: 5",
        "50 % of steps wrong": "Let us count. So finds 5: 5 + 5 = 5. Next finds 3: 5 + 3 = 5. Answer: 5",
        "of another problem": "Step by step. Next buys 3: 6 + 3 = 9. Now gives 5: 9 - 5 = 4. Answer: 4",
        "other words": "At first adding 5 onto 5 makes 10; adding 3 onto 10 makes 13. Answer: 13",
    }
    drawn = {style: draw_document(stream("fixed"), style=style, split="train") for style in chains}
    assert drawn == {style: f"{question} {chain}" for style, chain in chains.items()}
