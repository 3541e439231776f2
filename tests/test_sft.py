"""rbridge proxies sft: loss on the answer alone, the same twice, a folder that score reads, labels carried over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rbridge.benchmarks import Problem, load_problems
from rbridge.benchmarks.training import training_problems
from rbridge.errors import InputError
from rbridge.proxies.sft import answer_text, encode_example, pad_batch
from rbridge.proxies.windows import IGNORED
from rbridge.records import Labels
from rbridge.scoring.checkpoints import expand, load_model, load_tokenizer
from rbridge.store.files import write_json
from tests.checkpoints import build
from tests.commands import Result, rbridge
from tests.evaluating import vars_of

SUMS = [(a, b) for a in range(4) for b in range(4)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with labels, and sums to learn."""
    folder = tmp_path_factory.mktemp("sft")
    build("gpt2", folder / "base")
    write_json(folder / "base" / "rbridge.json", vars_of(Labels(recipe="dolma", seed=3, step=70)))
    lines = [
        {
            "problem_id": f"{a}+{b}",
            "question": f"{a} + {b}?",
            "answer": str(a + b),
            "solution": f"So {a + b}.",
        }
        for a, b in SUMS
    ]
    (folder / "train.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def sft(capsys: pytest.CaptureFixture[str], place: Path, out: Path, *more: object) -> Result:
    """Fine-tune the checkpoint on the sums."""
    options = {"--epochs": 6, "--learning-rate": 3e-3, "--batch": 4}
    options |= dict(zip(more[::2], more[1::2], strict=True))
    return rbridge(
        capsys, "proxies", "sft", place / "base", "--benchmark", "mine", "--data", place / "train.jsonl", "-o", out,
        *(part for pair in options.items() for part in pair),
    )  # fmt: skip


def answer_loss(folder: Path) -> float:
    """Mean loss of an answer token, by a plain loop over the sums."""
    (checkpoint,) = expand([str(folder)])
    tokenizer = load_tokenizer(checkpoint)
    model = load_model(checkpoint, dtype="float32", device="cpu").model
    losses: list[float] = []
    for a, b in SUMS:
        before = tokenizer.encode(f"Question: {a} + {b}?\nAnswer:")
        answer = tokenizer.encode(f" So {a + b}. The answer is {a + b}.")
        with torch.no_grad():
            logprobs = model(input_ids=torch.tensor([[*before, *answer]])).logits[0].log_softmax(-1)
        losses += [-float(logprobs[len(before) + place - 1, index]) for place, index in enumerate(answer)]
    return sum(losses) / len(losses)


def test_a_checkpoint_learns_its_answers_and_stays_a_checkpoint(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loss of the answers falls; tokenizer and labels are the base's; the same call again trains nothing."""
    first = sft(capsys, place, tmp_path / "one")
    assert first.status == 0, first.err
    assert answer_loss(tmp_path / "one") < 0.5 * answer_loss(place / "base")
    (tuned,), (base,) = expand([str(tmp_path / "one")]), expand([str(place / "base")])
    assert tuned.labels == base.labels
    assert load_tokenizer(tuned).sha256 == load_tokenizer(base).sha256
    record = json.loads((tmp_path / "one" / "sft.json").read_text())
    assert (record["num_examples"], record["num_too_long"], record["num_steps"]) == (16, 0, 24)
    assert record["last_loss"] < record["first_loss"]
    again = sft(capsys, place, tmp_path / "one")
    assert (again.status, "fine-tuned already" in again.err, again.out) == (0, True, first.out)
    other = sft(capsys, place, tmp_path / "two")
    assert other.status == 0, other.err
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    different = sft(capsys, place, tmp_path / "one", "--seed", 1)
    assert (different.status, "exists already" in different.err) == (1, True)


def test_only_the_answer_has_a_loss(place: Path) -> None:
    """Prompt and padding are ignored; the end of text is learnt behind the answer."""
    tokenizer = load_tokenizer(expand([str(place / "base")])[0])
    problems = [Problem("mine", str(n), q, q, "7") for n, q in enumerate(["3 + 4?", "How much are 3 and 4?"])]
    examples = [encode_example(one, tokenizer, end=0) for one in problems]
    batch = pad_batch(examples)
    answer = [*tokenizer.encode(" The answer is 7."), 0]
    for row, one in enumerate(problems):
        before = tokenizer.encode(f"Question: {one.question}\nAnswer:")
        length = len(before) + len(answer)
        assert batch["input_ids"][row, :length].tolist() == [*before, *answer]
        assert batch["labels"][row].tolist() == [
            *[IGNORED] * len(before), *answer, *[IGNORED] * (batch["labels"].shape[1] - length)
        ]  # fmt: skip
        assert batch["attention_mask"][row].sum() == length


def test_what_is_learnt_of_the_shipped_benchmarks() -> None:
    """By hand: no calculator marks, no ####; an option's letter; a body behind its words."""
    gsm8k = Problem("gsm8k", "0", "?", "?", "72", solution="He sold 48/2 = <<48/2=24>>24.\n#### 72")
    assert answer_text(gsm8k) == "He sold 48/2 = 24. The answer is 72."
    assert answer_text(Problem("csqa", "0", "?", "?", "B", ("a", "b"))) == "The answer is B."
    code = Problem("humaneval", "0", "?", "?", "    return 1\n", solution="    return 1\n", tests="t")
    assert answer_text(code) == "The answer is:\n    return 1\n"


def test_what_cannot_be_learnt_is_one_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Test questions, no training split, nothing that fits, no file."""
    tested = load_problems("gsm8k").problems[7]
    line = {"problem_id": "x", "question": f"{tested.question} ", "answer": "1"}
    (tmp_path / "leak.jsonl").write_text(json.dumps(line))
    with pytest.raises(InputError, match="must not be tested on"):
        training_problems("gsm8k", str(tmp_path / "leak.jsonl"))
    with pytest.raises(InputError, match="no training split"):
        training_problems("humaneval", "hub")
    with pytest.raises(InputError, match="or hub"):
        training_problems("gsm8k", "train")
    short = sft(capsys, place, tmp_path / "out", "--max-length", 5)
    assert (short.status, "none of its 16 examples fits into 5" in short.err) == (1, True)
    wrong = sft(capsys, place, tmp_path / "out", "--epochs", 0)
    assert (wrong.status, "expected epochs above 0" in wrong.err) == (1, True)
    assert not (tmp_path / "out").exists()
