"""Every style of the full miniature, checked by reading its chains back; recipes from a file; copies and leaks."""

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from rbridge.errors import InputError
from rbridge.miniature.families import ALL, FAMILIES
from rbridge.miniature.recipe_file import read_recipes
from rbridge.miniature.recipes import Part, Recipe, mix
from rbridge.miniature.styles import STYLES, draw_document, draw_problem_of, write_document
from rbridge.miniature.vocabularies import frontier_tokenizer, proxy_tokenizer, tokenizer_named
from rbridge.miniature.world import (
    DOUBLE,
    Problem,
    Step,
    held_out_problems,
    read_answer,
    stream,
    trace_problems,
)

PROBLEM = Problem("Mia", "pens", 5, (DOUBLE, Step("gives", "-", 3)))
BY_HAND = {
    "bare steps": "doubles: 5 + 5 = 10. gives 3: 10 - 3 = 7. Answer: 7",
    "reasons behind": "5 + 5 = 10 since Mia doubles. 10 - 3 = 7 since Mia gives 3. Answer: 7",
    "in full": "Mia had 5 and doubles, that makes 10. Mia had 10 and gives 3, that makes 7. Answer: 7",
    "equations": "5 + 5 = 10. 10 - 3 = 7. Answer: 7",
    "results first": "10 = 5 + 5. 7 = 10 - 3. Answer: 7",
    "JSON": '{"steps": ["5 + 5 = 10", "10 - 3 = 7"]} Answer: 7',
    "numbered list": "1) 5 + 5 = 10\n2) 10 - 3 = 7 Answer: 7",
    "one sum": "5 + 5 - 3 = 7. Answer: 7",
    "answer only": "Answer: 7",
}
EIGHT = '{"style": "JSON", "share": 0.8}'
WRONG = {"last step wrong", "of another problem", "from another start"} | {s for s in STYLES if "wrong" in s}


def as_bytes(texts: list[str]) -> list[list[int]]:
    """An encoding to count with: a token a byte and one for the end."""
    return [[*text.encode(), 256] for text in texts]


@pytest.mark.parametrize("style", BY_HAND)
def test_chains_by_hand(style: str):
    """The chain of one small problem in every style without chance."""
    assert write_document(PROBLEM, style, stream("x")) == f"Q: {PROBLEM.question}\nA: {BY_HAND[style]}"


@pytest.mark.parametrize("style", sorted(set(STYLES) - WRONG))
def test_right_styles_end_in_the_right_answer(style: str):
    """Whatever the style, the answer sentence is read back as the problem's answer."""
    rng = random.Random(1)
    for _ in range(100):
        problem = draw_problem_of(style, rng, split="train")
        assert read_answer(write_document(problem, style, rng)) == problem.answer


def test_a_wrong_last_step_spoils_the_answer_alone():
    """All equations but the last hold, and the answer is never right."""
    rng = random.Random(2)
    for _ in range(100):
        problem = draw_problem_of("last step wrong", rng, split="train")
        text = write_document(problem, "last step wrong", rng)
        equations = [tuple(map(int, found)) for found in re.findall(r": (\d+) [+-] \d+ = (\d+)\.", text)]
        assert [result for _, result in equations[:-1]] == problem.totals[1:-1]
        assert read_answer(text) == equations[-1][1] != problem.answer


def test_another_start_keeps_the_steps():
    """The verbs and amounts are the question's, the first number is not, and the arithmetic holds."""
    rng = random.Random(3)
    moved = 0
    for _ in range(200):
        problem = draw_problem_of("standard", rng, split="train")
        text = write_document(problem, "from another start", rng)
        said = re.findall(r"\w+ (\w+(?: \d+)?): (\d+) ([+-]) (\d+) = (\d+)\.", text)
        assert [phrase for phrase, *_ in said] == [step.phrase for step in problem.steps]
        assert all(int(a) + int(b) * (1 if sign == "+" else -1) == int(c) for _, a, sign, b, c in said)
        moved += int(said[0][1]) != problem.start
    assert moved > 190  # a few problems fit no other start


def test_shuffled_steps_are_the_right_ones():
    """The same sentences as a right chain, seldom in its order."""
    rng = random.Random(4)
    problem = Problem("Mia", "pens", 5, (DOUBLE, Step("gives", "-", 3), Step("buys", "+", 4)))
    orders = Counter(
        tuple(re.findall(r"(\d+ [+-] \d+ = \d+)\.", write_document(problem, "steps in random order", rng)))
        for _ in range(120)
    )
    assert {frozenset(order) for order in orders} == {frozenset(("5 + 5 = 10", "10 - 3 = 7", "7 + 4 = 11"))}
    assert len(orders) == 6


def test_lengths_and_filler():
    """Two and four steps are what they say; filler repeats each total in a sentence of its own."""
    rng = random.Random(5)
    for style, steps in (("two steps", 2), ("four steps", 4)):
        for _ in range(30):
            assert draw_document(rng, style=style, split="train").count(" = ") == steps
    text = write_document(PROBLEM, "with filler", rng)
    assert re.search(
        r"5 \+ 5 = 10\. That is 10 pens\. \w+ gives 3: 10 - 3 = 7\. That is 7 pens\. Answer: 7$", text
    )


def test_every_document_and_reply_fits():
    """No document is longer than a window of 128 tokens, no reply longer than the 80 that a model may write."""
    rng, tokenizer = stream("fits"), proxy_tokenizer()
    for style in STYLES:
        texts = [draw_document(rng, style=style, split="train") for _ in range(60)]
        assert max(len(ids) for ids in tokenizer(texts)["input_ids"]) < 128
        replies = [text.split("\nA:")[1] for text in texts]
        assert max(len(ids) for ids in tokenizer(replies)["input_ids"]) < 80


def test_copies_repeat_few_problems_in_every_part():
    """Parts that share few problems ask the same ones, as many as the recipe says, in styles of their own."""
    recipe = Recipe("few", (Part("equations", 0.5, distinct=0.2), Part("answer only", 0.5, distinct=0.2)))
    texts = [bytes(ids[:-1]).decode() for ids in mix(recipe, as_bytes, num_tokens=60_000, rng=stream("few"))]
    questions = {
        style: {t.split("\nA:")[0] for t in texts if (" = " in t) == style} for style in (True, False)
    }
    assert questions[True] == questions[False]
    assert len(questions[True]) == 12


@pytest.mark.parametrize(
    ("leaked", "problems"), [("evaluation", held_out_problems(400)), ("traces", trace_problems(200))]
)
def test_leaks_are_of_the_test_and_nothing_else_is(leaked: str, problems: tuple[Problem, ...]):
    """A leak's documents ask the very problems of the test; the other part asks none of them."""
    recipe = Recipe("leak", (Part("equations", 0.5), Part("standard", 0.5, leaked=leaked)))  # pyrefly: ignore
    texts = [bytes(ids[:-1]).decode() for ids in mix(recipe, as_bytes, num_tokens=60_000, rng=stream("leak"))]
    asked = {problem.prompt for problem in problems}
    for text in texts:
        standard = text.split("\nA: ")[1][0].isalpha()
        assert (text[: text.index("\nA:") + 3] in asked) == standard


def test_restyled_copies_have_the_same_share_of_each_style():
    """The restyled copies hold the dose of the others, in five equal parts."""
    for recipe in FAMILIES["copies"]:
        assert sum(part.share for part in recipe.parts) == pytest.approx(0.9)
        assert len({part.share for part in recipe.parts}) == 1
    assert {part.style for recipe in ALL for part in recipe.parts} <= set(STYLES)


def test_other_frontier_tokenizers():
    """A job's name says which: smaller ones have fewer tokens, and where numbers stay whole 17 is one token."""
    assert tokenizer_named("frontier").get_vocab() == frontier_tokenizer().get_vocab()
    assert len(tokenizer_named("frontier of 320, whole numbers")) == 320
    assert len(tokenizer_named("frontier, whole numbers").encode(" 17")) == 1
    assert len(tokenizer_named("frontier of 300").encode(" 17")) == 2


def test_recipes_come_from_a_file(tmp_path: Path):
    """A list of names and parts; what a part leaves out has its default."""
    file = tmp_path / "mine.json"
    parts = [{"style": "equations", "share": 0.5}, {"style": "JSON", "share": 0.2, "leaked": "traces"}]
    file.write_text(json.dumps([{"name": "a", "parts": parts}, {"name": "b", "parts": parts[:1]}]))
    assert read_recipes(file) == (
        Recipe("a", (Part("equations", 0.5), Part("JSON", 0.2, leaked="traces"))),
        Recipe("b", (Part("equations", 0.5),)),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "file: Input should be a valid array; expected"),
        ('[{"name": "a/b", "parts": []}]', "0.name: String should match"),
        (
            '[{"name": "a", "parts": [{"style": "equations", "share": 2}]}]',
            "0.parts.0.share: Input should be less",
        ),
        ('[{"name": "a", "parts": []}]', "1 recipes with 1 names; expected two or more"),
        ('[{"name": "a", "parts": []}, {"name": "a", "parts": []}]', "2 recipes with 1 names"),
        (
            '[{"name": "a", "parts": [{"style": "x", "share": 0.1}]}, {"name": "b", "parts": []}]',
            "no style 'x'; known",
        ),
        (
            '[{"name": "a", "parts": [{"style": "JSON", "share": 0.1, "leaked": "x"}]}, {"name": "b", "parts": []}]',
            "leaked 'x'; expected",
        ),
        (
            '[{"name": "b", "parts": []}, {"name": "a", "parts": [%s, %s]}]' % ((EIGHT,) * 2),
            "its shares sum to more than 1",
        ),
    ],
)
def test_bad_recipe_files_are_told(tmp_path: Path, text: str, told: str):
    """One line that says where and what was expected."""
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(InputError, match=re.escape(told)):
        read_recipes(file)
    with pytest.raises(InputError, match="no such file"):
        read_recipes(tmp_path / "none.json")
