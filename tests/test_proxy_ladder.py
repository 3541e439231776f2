"""Ladders of proxies: sizes, initialisation, training by Trainer, what is kept, what is trained again."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from rbridge.compute import DATADECIDE
from rbridge.errors import InputError
from rbridge.proxies.decoder import new_decoder
from rbridge.proxies.job import ProxyJob, train_job
from rbridge.proxies.rungs import RULES, SIZES, learning_rate_of, size_named
from rbridge.proxies.train_ladder import train_ladder
from rbridge.proxies.trainer import MixWindows, micro_batch
from rbridge.proxies.windows import IGNORED
from rbridge.scoring.checkpoints import expand
from tests.commands import rbridge
from tests.ladders import TINY, plan, write_recipes

CPU = {"use_cpu": True}


@pytest.fixture(autouse=True)
def _one_thread():
    """As in the workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recipe file and a trained ladder of it."""
    folder = tmp_path_factory.mktemp("ladder")
    file, out = write_recipes(folder / "texts"), folder / "out"
    said: list[str] = []
    found = train_ladder(tuple(plan(file, out).values()), progress=said.append, devices=CPU)
    assert [one.trained for one in found] == [True] * 3
    assert [line.partition(":")[0] for line in said] == [
        f"{name} tiny seed 0" for name in ("both", "heap", "more")
    ]
    return file, out


# Sizes


@pytest.mark.parametrize("rung", DATADECIDE, ids=lambda rung: rung.size)
def test_datadecides_sizes_have_its_parameters_steps_and_tokens(rung):
    """Shape, batch and budget give the published N and steps (as far as both are rounded in print)."""
    size = size_named(rung.size)
    assert size.parameters(50_304) == pytest.approx(rung.parameters, rel=0.015)
    assert rung.steps * size.batch * size.window == pytest.approx(rung.tokens, rel=0.07)
    assert size.width % size.heads == 0
    assert size.width // size.heads % 2 == 0  # rotary positions turn pairs


@pytest.mark.parametrize("size", SIZES[:5], ids=lambda size: size.name)
def test_small_sizes_are_what_their_names_say(size):
    """Within a tenth, with a vocabulary of 2,048; the formula counts what a model holds."""
    named = float(size.name[:-1]) * {"k": 1e3, "M": 1e6}[size.name[-1]]
    assert size.parameters(2048) == pytest.approx(named, rel=0.1)
    assert new_decoder(size, vocab_size=2048, end_id=0, seed=0).num_parameters() == size.parameters(2048)


def test_rates_follow_the_published_table():
    """DataDecide's peaks at three sizes; the default is a tenth of them, bounded."""
    for name, rate in (("4M", 1.4e-2), ("60M", 5.8e-3), ("1B", 2.1e-3)):
        rung = next(one for one in DATADECIDE if one.size == name)
        assert learning_rate_of("datadecide", round(rung.parameters)) == pytest.approx(rate, rel=0.04)
        assert learning_rate_of("small", round(rung.parameters)) == pytest.approx(rate / 10, rel=0.04)
    assert learning_rate_of("small", 1000) == RULES[0].highest
    assert learning_rate_of("0.002", 1000) == 0.002
    with pytest.raises(InputError, match="did you mean small"):
        learning_rate_of("smal", 1000)


def test_activations_and_logits_start_at_unit_scale():
    """Whatever the width: the mean loss of fresh models is a little above ln V, as for logits of unit variance."""
    ids = torch.randint(0, 300, (8, 64), generator=torch.Generator().manual_seed(0))
    for width, layers in ((32, 1), (64, 4), (128, 8)):
        size = dataclasses.replace(TINY, width=width, layers=layers)
        model = new_decoder(size, vocab_size=300, end_id=0, seed=1)
        with torch.no_grad():
            logits = model(input_ids=ids).logits
        assert 0.8 < float(logits.std()) < 1.25
        again = new_decoder(size, vocab_size=300, end_id=0, seed=1)
        assert all(
            torch.equal(one, two) for one, two in zip(model.parameters(), again.parameters(), strict=True)
        )


def test_micro_batches_divide_the_batch_and_bound_the_logits():
    """One for each device where even one window's logits are more than is allowed."""
    assert micro_batch(32, window=2048, vocab_size=50_304, num_devices=1) == 2
    assert micro_batch(30, window=512, vocab_size=2048, num_devices=2) == 15
    assert micro_batch(4, window=10**6, vocab_size=10**6, num_devices=1) == 1


# Training


def plain_loop(job: ProxyJob) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The same training written down plainly: one epoch in order, AdamW, clipping, the schedule by hand."""
    mix = job.open_mix()
    model = new_decoder(TINY, vocab_size=300, end_id=0, seed=0)
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    gains = [weight for weight in model.parameters() if weight.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}], betas=(0.9, 0.95)
    )
    num_steps = math.ceil(len(mix.ends) / 4)
    losses = []
    for step in range(num_steps):
        rows = [mix.window(at) for at in range(4 * step, min(4 * step + 4, len(mix.ends)))]
        ids, labels = torch.zeros(len(rows), 64, dtype=torch.long), torch.full((len(rows), 64), IGNORED)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = labels[at, : len(row)] = torch.from_numpy(row)
        rising, falling = round(0.05 * num_steps), round(0.2 * num_steps)
        rate = min((step + 1) / rising, 1.0, (num_steps - step) / falling) * 0.003
        for group in optimizer.param_groups:
            group["lr"] = rate
        logits = model(input_ids=ids).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, 300), labels[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses, dict(model.named_parameters())


def test_trainer_trains_what_a_plain_loop_trains(trained):
    """Loss by loss and weight by weight."""
    file, out = trained
    job = plan(file, out)["both"].job
    losses, weights = plain_loop(job)
    logged = [json.loads(line) for line in (job.folder / "loss.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logged] == list(range(1, len(losses) + 1))
    assert [line["loss"] for line in logged] == pytest.approx(losses, abs=2e-5)
    assert np.mean(losses[-3:]) < losses[0] - 0.3  # it learns something
    saved = load_file(job.final / "model.safetensors")
    for name, weight in saved.items():
        assert torch.allclose(weight, weights[name], atol=2e-5), name


def test_gradients_of_micro_batches_are_those_of_the_batch(trained, tmp_path: Path, monkeypatch):
    """Windows a forward pass do not change what is learned: the mean is over the batch's tokens."""
    file, out = trained
    monkeypatch.setattr("rbridge.proxies.trainer._LOGIT_BYTES", 4 * 64 * 300)
    job = plan(file, tmp_path / "out", "both")["both"].job
    train_job(job, devices=CPU)
    whole = load_file(plan(file, out)["both"].job.final / "model.safetensors")
    for name, weight in load_file(job.final / "model.safetensors").items():
        assert torch.allclose(weight, whole[name], atol=5e-5), name


def test_a_last_step_that_processes_share_is_filled_with_what_has_no_loss(trained):
    """Two processes' halves of a filled step add up to the gradient of its own windows alone."""
    file, out = trained
    job = plan(file, out)["heap"].job
    mix = job.open_mix()
    own = len(mix.ends) % 64
    assert own
    windows = MixWindows(mix, pad_id=0, fill=64)
    assert len(windows) % 64 == 0
    model = new_decoder(TINY, vocab_size=300, end_id=0, seed=0)

    def gradient(rows: range) -> torch.Tensor:
        model.zero_grad()
        model(**windows.collate([windows[row] for row in rows]), num_items_in_batch=1_000).loss.backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])

    first = len(windows) - 64
    halves = gradient(range(first, first + 32)) + gradient(range(first + 32, first + 64))
    assert torch.allclose(halves, gradient(range(first, first + own)), atol=1e-6)


def test_two_workers_train_the_same_bits_as_one(trained, tmp_path: Path):
    """Processes of their own, bases before what stands on them; the order told is the plan's."""
    file, out = trained
    planned = plan(file, tmp_path / "out")
    found = train_ladder(tuple(planned.values()), progress=lambda _: None, workers=2, devices=CPU)
    assert [one.job.recipe for one in found] == ["both", "heap", "more"]
    assert all(one.trained for one in found)
    for name, one in plan(file, out).items():
        ours = load_file(planned[name].job.final / "model.safetensors")
        theirs = load_file(one.job.final / "model.safetensors")
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs), name
    again = train_ladder(tuple(plan(file, tmp_path / "out").values()), progress=lambda _: None, workers=2)
    assert not any(one.trained for one in again)


def test_what_is_kept_is_a_checkpoint_that_the_scorer_reads(trained):
    """Three by three: folders, labels with tokens and FLOPs by 6ND, weights that AutoModel loads."""
    file, out = trained
    planned = plan(file, out)
    found = expand([str(out / "*" / "*" / "*" / "step-*")])
    assert len(found) == 9
    heap, more = planned["heap"], planned["more"]
    labels = {one.name: one.labels for one in found}
    own = labels[str(heap.job.final)]
    size = TINY.parameters(300)
    assert (own.recipe, own.seed, own.size, own.parameters) == ("heap", 0, "tiny", size)
    assert own.tokens == heap.mix.plan.num_tokens
    assert own.flops == 6.0 * size * heap.mix.plan.num_tokens
    further = labels[str(more.job.final)]
    assert further.tokens == heap.mix.plan.num_tokens + more.mix.plan.num_tokens
    assert further.flops == 6.0 * size * further.tokens
    assert [labels[str(heap.job.checkpoint(step))].step for step in heap.job.kept] == list(heap.job.kept)
    loaded = AutoModelForCausalLM.from_pretrained(heap.job.final)
    assert loaded.num_parameters() == size
    result = json.loads((heap.job.folder / "training.json").read_text())
    assert result["seconds"] > 0
    assert not (heap.job.folder / "state").exists()


def test_a_recipe_with_a_base_starts_from_the_bases_weights(trained):
    """Its first loss is that of the base's finished model on its first windows, not that of fresh weights."""
    file, out = trained
    planned = plan(file, out)
    job = planned["more"].job
    mix = job.open_mix()
    model = AutoModelForCausalLM.from_pretrained(planned["heap"].job.final)
    ids, labels = torch.zeros(4, 64, dtype=torch.long), torch.full((4, 64), IGNORED)
    for at in range(4):
        row = torch.from_numpy(mix.window(at))
        ids[at, : len(row)] = labels[at, : len(row)] = row
    with torch.no_grad():
        expected = float(model(input_ids=ids, labels=labels).loss)
    first = json.loads((job.folder / "loss.jsonl").read_text().splitlines()[0])
    assert first["loss"] == pytest.approx(expected, abs=1e-4)


def test_a_checkpoint_of_any_origin_is_a_base(trained, tmp_path: Path):
    """Its size, tokenizer and architecture hold, whatever ladder size is asked for; another recipe keeps its own."""
    file, out = trained
    base = plan(file, out)["heap"].job.final
    text = f"""
sources: {{wrap: {{text: wrap.txt, split: paragraph}}}}
recipes:
  further:
    base: {{checkpoint: "{base}"}}
    phases: [{{mix: {{wrap: 1}}, tokens: 1500, schedule: {{kind: linear, peak: 1e-3}}}}]
"""
    planned = plan(write_recipes(tmp_path, text), tmp_path / "out")["further"]
    [found] = train_ladder([planned], progress=lambda _: None, devices=CPU)
    before = expand([str(base)])[0].labels
    assert (found.labels.size, found.labels.parameters) == ("tiny", before.parameters)
    assert found.labels.tokens == before.tokens + planned.mix.plan.num_tokens
    moved = load_file(found.checkpoints[-1] / "model.safetensors")
    start = load_file(base / "model.safetensors")
    assert 0 < max(float((moved[name] - start[name]).abs().max()) for name in start) < 0.05
    wrong = text.replace("tokens: 1500, ", "")
    with pytest.raises(InputError, match="starts from a checkpoint, so no size gives it a budget"):
        plan(write_recipes(tmp_path, wrong), tmp_path / "out")


def test_only_what_depends_on_a_change_is_trained_again(trained, tmp_path: Path):
    """Nothing when nothing changed; after a change of one source, every recipe that reads it or stands on one."""
    file, out = trained
    assert all(one.done for one in plan(file, out).values())
    text = file.read_text()
    moved = write_recipes(tmp_path, text.replace("mix: {wrap: 1}", "mix: {wrap: 2, heap: 1}"))
    assert {name: one.done for name, one in plan(moved, out).items()} == {
        "both": True,
        "heap": True,
        "more": False,
    }
    moved.write_text(text.replace("mix: {heap: 1}", "mix: {heap: 1}\n        schedule: {peak: 0.001}"))
    assert {name: one.done for name, one in plan(moved, out).items()} == {
        "both": True,
        "heap": False,
        "more": False,
    }


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path):
    """Kill -9 at five moments: weights, kept checkpoints and the log come out as in a run that nobody stopped."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.killing_training", str(tmp_path)],
        capture_output=True, text=True, check=True, env=environment, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    found = json.loads(done.stdout)
    whole = found.pop("whole")
    assert len(whole) == 5
    assert whole["left"] == "False"
    assert len(found) == 5
    for moment, outcome in found.items():
        assert outcome == {"killed": -9, "again": 0, "result": whole}, moment


# The command


def test_a_dry_run_prints_the_plan_and_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Parameters, tokens, FLOPs and repetition of every model, as JSON."""
    file = write_recipes(tmp_path / "texts")
    words = "--size 50k --seed 0,1 --recipe more --tokens 20k --vocab-size 300 --window 64 --checkpoints 1 --dry-run"
    arguments = ["proxies", "train", file, "-o", tmp_path / "out", *words.split()]
    result = rbridge(capsys, *arguments, "--json")
    assert result.status == 0
    models = result.document["models"]
    assert [(one["recipe"], one["seed"], one["finished"]) for one in models] == [
        ("heap", 0, False), ("heap", 1, False), ("more", 0, False), ("more", 1, False)
    ]  # fmt: skip
    assert models[0]["parameters"] == size_named("50k").parameters(300)
    assert models[0]["flops"] == 6 * models[0]["parameters"] * models[0]["tokens"]
    assert abs(models[0]["tokens"] - 20_000) <= 64
    [heap] = models[0]["mix"]["repetitions"]
    assert heap["repeats"] == pytest.approx(20_000 / heap["pool"])
    assert not list((tmp_path / "out").glob("heap"))
    table = rbridge(capsys, *arguments)
    assert "nothing is matched" in " ".join(table.out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "5M"], "no size '5M'"),
        (["--seed", "a"], "--seed a: expected whole numbers"),
        (["--recipe", "none"], "no recipe 'none'; expected one of both, heap, more"),
        (["--tokens", "some"], "tokens: expected a count"),
        (["--checkpoints", "0"], "expected at least 1"),
        (["--tokenizer", "nowhere/at-all"], "nowhere/at-all: no tokenizer"),
    ],
)
def test_wrong_arguments_are_one_line(
    tmp_path: Path, capsys, monkeypatch, arguments: list[str], message: str
):
    """What was found, what was expected."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    file = write_recipes(tmp_path / "texts")
    result = rbridge(capsys, "proxies", "train", file, "-o", tmp_path / "out", *arguments)
    assert result.status == 1
    assert message in result.err
    assert result.err.count("\n") == 1
