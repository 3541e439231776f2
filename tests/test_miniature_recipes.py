"""The recipes' mixing and the count of trace-like text in them."""

import re
from collections.abc import Sequence

import pytest

from rbridge.errors import InputError
from rbridge.miniature.dose import trace_like_share
from rbridge.miniature.jobs import proxy_jobs
from rbridge.miniature.recipes import RECIPES, Part, Recipe, mix
from rbridge.miniature.source import MAX_CHARS, source_documents
from rbridge.miniature.styles import STYLES, draw_document
from rbridge.miniature.train import job_documents, job_texts
from rbridge.miniature.world import stream
from rbridge.proxies.ladder import Size

DOCUMENT = re.compile(r"Q: .*\?\nA: .* Answer: \d+")


def as_bytes(texts: Sequence[str]) -> list[list[int]]:
    """An encoding to count with: a token a byte and one for the end."""
    return [[*text.encode(), 256] for text in texts]


def test_the_recipes_are_data():
    """Eight recipes of their own names, whose parts are of known styles and leave room for source text."""
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES) == 8
    for recipe in RECIPES:
        assert {part.style for part in recipe.parts} <= set(STYLES)
        assert 0 < sum(part.share for part in recipe.parts) < 1


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_shares_are_exact_to_one_document(recipe: Recipe):
    """Each side of the mixture overshoots its tokens by less than its last document, which is whole."""
    num_tokens = 40_000
    documents = mix(recipe, as_bytes, num_tokens=num_tokens, rng=stream("shares"))
    texts = [bytes(document[:-1]).decode() for document in documents]
    reasoning = [len(text) + 1 for text in texts if DOCUMENT.fullmatch(text)]
    source = [len(text) + 1 for text in texts if text in set(source_documents())]
    share = sum(part.share for part in recipe.parts)
    assert len(reasoning) + len(source) == len(texts)
    assert 0 <= sum(reasoning) - share * num_tokens < max(reasoning)
    assert 0 <= sum(source) - (1 - share) * num_tokens < max(source)


def test_mixing_is_fixed_by_its_stream():
    """The same name gives the same documents in the same order, another name others."""
    recipe = RECIPES[0]
    once, again, other = (
        mix(recipe, as_bytes, num_tokens=20_000, rng=stream(name)) for name in ("a", "a", "b")
    )
    assert once == again
    assert once != other


def test_parts_of_several_styles_are_mixed():
    """A recipe may hold reasoning of several styles, each with its share."""
    recipe = Recipe("both", (Part("standard", 0.5), Part("other words", 0.25)))
    texts = [bytes(d[:-1]).decode() for d in mix(recipe, as_bytes, num_tokens=40_000, rng=stream("x"))]
    standard = sum(len(text) for text in texts if " = " in text and DOCUMENT.fullmatch(text))
    other = sum(len(text) for text in texts if " = " not in text and DOCUMENT.fullmatch(text))
    assert abs(standard / 20_000 - 1) < 0.03
    assert abs(other / 10_000 - 1) < 0.03


def test_too_little_source_text_is_said():
    """A recipe that asks for more source text than there is gets no shorter recipe but an error."""
    with pytest.raises(
        InputError, match=r"ends at \d+ tokens, but the recipe asks for 1000000; train on fewer"
    ):
        mix(Recipe("none", ()), lambda texts: [[0] for _ in texts], num_tokens=1_000_000, rng=stream("x"))


def test_source_documents_are_short_whole_lines():
    """Each fits a window whatever the vocabulary, and none is empty."""
    assert len(source_documents()) > 10_000
    assert all(len(text) <= MAX_CHARS and text.isascii() and text.strip() for text in source_documents())


def test_texts_are_what_the_model_reads():
    """The text of a job's documents is drawn whole: problems with their chains, and source text."""
    (job,) = proxy_jobs(RECIPES[:1], seeds=(0,), size=Size("small", 8, 1, 5_000, 1e-2))
    texts = job_texts(job)
    assert len(texts) == len(job_documents(job))
    assert all(DOCUMENT.fullmatch(text) or text in set(source_documents()) for text in texts)


def test_trace_like_share_by_hand():
    """Nine words of ten are in a run of four that the trace has too; numbers count as one word."""
    trace = "So buys 3: 9 + 3 = 12."  # So buys 0 : 0 + 0 = 0 .
    assert trace_like_share(["Now buys 2: 5 + 2 = 7."], [trace]) == 9 / 10
    assert trace_like_share(["Now buys 2: 5 + 2 = 7.", "So buys lots: 5"], [trace]) == 9 / 15
    assert trace_like_share(["import re", "x = 1"], [trace]) == 0


def test_the_share_follows_the_dose():
    """More standard text is more trace-like, wrong results leave it so, and other words take it away."""
    traces = [draw_document(stream(f"t{n}"), style="standard", split="traces") for n in range(60)]
    reasoning = [re.sub(r"^.*\nA: | Answer: \d+$", "", trace) for trace in traces]
    jobs = proxy_jobs(RECIPES, seeds=(0,), size=Size("small", 8, 1, 10_000, 1e-2))
    dose = {job.recipe.name: trace_like_share(job_texts(job), reasoning) for job in jobs}
    assert dose["std75"] > dose["std50"] > dose["std30"] > dose["std12"] > 20 * dose["alt60"]
    assert dose["noisy50"] == pytest.approx(dose["noisy15"], rel=0.1)
    assert dose["std75"] > dose["noisy50"] > dose["std50"]
