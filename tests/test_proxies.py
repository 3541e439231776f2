"""Tokenizers, windows, training and saved folders of small models."""

import json
import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from rbridge.errors import InputError
from rbridge.miniature.styles import STYLES
from rbridge.miniature.vocabularies import frontier_tokenizer, proxy_tokenizer, tokenizer_named
from rbridge.miniature.world import draw_problem, stream
from rbridge.proxies.ladder import Size
from rbridge.proxies.models import new_model
from rbridge.proxies.tokenizers import WHOLE_NUMBERS, train_tokenizer
from rbridge.proxies.train import save_checkpoint, train
from rbridge.proxies.windows import IGNORED, Windows, pack_windows
from rbridge.records import Labels
from rbridge.scoring.checkpoints import expand
from rbridge.scoring.tokenizer import ProxyTokenizer

TINY = Size("tiny", width=16, heads=2, num_tokens=0, learning_rate=1e-2)


@pytest.fixture(autouse=True)
def _one_thread():
    """One thread, as in the workers: more only wait for one another at these sizes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def counting_windows(num_windows: int, *, window: int = 32, vocab: int = 40) -> Windows:
    """Windows of documents that count upwards from a random number: easy to learn."""
    rng = random.Random(0)
    documents = [
        [*((first + step) % (vocab - 1) + 1 for step in range(window // 2 - 1)), 0]
        for first in (rng.randrange(vocab) for _ in range(2 * num_windows))
    ]
    return pack_windows(documents, window=window, pad_id=0)


def tiny_model(seed: int = 0, vocab: int = 40):
    """A fresh model of the tiny size."""
    return new_model(TINY, vocab_size=vocab, end_id=0, context=64, seed=seed)


# Tokenizers


@pytest.mark.parametrize("name", ["proxy", "frontier", "frontier of 320, whole numbers"])
@given(text=st.text())
def test_any_text_is_spelled_byte_for_byte(name: str, text: str):
    """Whatever the text, its tokens spell it, in the way that our scorer reads them."""
    tokenizer = ProxyTokenizer(tokenizer_named(name), where=name)
    assert b"".join(tokenizer.spell(tokenizer.encode(text))) == text.encode()
    assert not tokenizer.prefix_ids


def test_numbers_are_whole_for_proxies_and_digits_for_the_frontier():
    """Each number of the world is one token for proxies and a token a digit for the frontier."""
    for number in range(1, 25):
        assert len(proxy_tokenizer().encode(f" {number}")) == 1
        assert len(frontier_tokenizer().encode(f" {number}")) == len(str(number))
    assert len(proxy_tokenizer()) == 640
    assert 300 < len(frontier_tokenizer()) <= 400


@pytest.mark.parametrize("name", ["proxy", "frontier", "frontier of 320, whole numbers"])
def test_prompt_and_chain_are_encoded_apart_as_together(name: str):
    """encode(prompt) + encode(" " + chain) is what the model was trained on."""
    tokenizer, rng = tokenizer_named(name), stream("apart")
    for style, write in STYLES.items():
        for _ in range(50):
            problem = draw_problem(rng, split="train")
            text = write(problem, rng).text
            together = tokenizer.encode(f"{problem.prompt} {text}")
            assert tokenizer.encode(problem.prompt) + tokenizer.encode(f" {text}") == together, style


def test_the_same_texts_train_the_same_tokenizer():
    """Two trainings give the same definition."""
    texts = [str(list(range(number))) for number in range(60)]
    once, again = (
        train_tokenizer(texts, vocab_size=280, pattern=WHOLE_NUMBERS).backend_tokenizer.to_str() for _ in "ab"
    )
    assert once == again


# Windows


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), max_size=200))
def test_no_document_is_cut_or_lost(documents: list[list[int]]):
    """Every document stands whole in one window, once, and only padding carries no loss."""
    ended = [[*document, 0] for document in documents]
    windows = pack_windows(ended, window=13, pad_id=7)
    found: Counter[tuple[int, ...]] = Counter()
    for ids, labels in zip(windows.ids, windows.labels, strict=True):
        held = ids[labels != IGNORED]
        assert (labels[: len(held)] == held).all()  # padding stands at the end only
        assert (ids[len(held) :] == 7).all()
        assert held[-1] == 0
        found.update(tuple(part) for part in np.split(held, np.flatnonzero(held == 0)[:-1] + 1))
    assert found == Counter(tuple(document) for document in ended)
    assert windows.num_tokens == sum(map(len, ended))


def test_windows_are_well_filled():
    """Documents of a third of a window on average leave under a tenth of it empty."""
    rng = random.Random(0)
    documents = [[1] * rng.randint(10, 75) for _ in range(2000)]
    windows = pack_windows(documents, window=128, pad_id=0)
    assert windows.num_tokens / windows.ids.size > 0.9


def test_a_document_longer_than_a_window_is_refused():
    """It is named with its length, and nothing is cut."""
    with pytest.raises(
        InputError, match=r"document 1: 9 tokens, but a window holds 8 and no document is cut"
    ):
        pack_windows([[1] * 8, [1] * 9], window=8, pad_id=0)


# Training


def test_training_lowers_the_loss():
    """A model of 5,000 parameters learns to count: from no better than guessing to nearly no loss."""
    losses = train(tiny_model(), counting_windows(400), learning_rate=1e-2, seed=0)
    assert len(losses) == 100
    assert losses[0] > math.log(40)
    assert np.mean(losses[-10:]) < 1


def test_a_seed_fixes_every_bit():
    """The same seed gives the same weights, another seed of the order or the weights others."""
    windows = counting_windows(40)

    def weights(*, drawn: int, order: int) -> torch.Tensor:
        model = tiny_model(drawn)
        train(model, windows, learning_rate=1e-2, seed=order)
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    first = weights(drawn=0, order=0)
    assert torch.equal(first, weights(drawn=0, order=0))
    assert not torch.equal(first, weights(drawn=0, order=1))
    assert not torch.equal(first, weights(drawn=1, order=0))


def test_padding_carries_no_loss():
    """Other padding behind the same documents trains the same model."""
    windows = pack_windows([[1, 2, 3, 0]] * 16, window=6, pad_id=0)
    padded = Windows(np.where(windows.labels == IGNORED, 5, windows.ids), windows.labels)
    assert train(tiny_model(), windows, learning_rate=1e-2, seed=0) == train(
        tiny_model(), padded, learning_rate=1e-2, seed=0
    )


def test_a_saved_folder_is_an_ordinary_checkpoint(tmp_path: Path):
    """AutoModel loads it without our code, to the same logits and ids, and our scorer reads its labels."""
    tokenizer = proxy_tokenizer()
    model = new_model(TINY, vocab_size=len(tokenizer), end_id=tokenizer.eos_token_id, context=64, seed=3)
    train(model, counting_windows(8), learning_rate=1e-2, seed=0)
    labels = Labels("std50", 3, "tiny", 12_345, 1_000, 2, 6.0 * 12_345 * 1_000)
    save_checkpoint(tmp_path, model, tokenizer, labels=labels)

    ids = torch.tensor([tokenizer.encode("Q: Finn has 7 stamps.")])
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded(ids).logits, model.eval()(ids).logits)
    assert AutoTokenizer.from_pretrained(tmp_path).encode("Q: Finn has 7 stamps.") == ids[0].tolist()
    assert json.loads((tmp_path / "rbridge.json").read_text())["flops"] == 74_070_000
    assert [checkpoint.labels for checkpoint in expand([str(tmp_path)])] == [labels]
