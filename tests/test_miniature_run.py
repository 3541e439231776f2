"""The miniature from end to end: models, traces, what is kept of a stopped run, and what stands recorded."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rbridge.errors import InputError
from rbridge.miniature.frontier import num_trace_tokens, trace, write_traces
from rbridge.miniature.jobs import FRONTIER, T128, Job, finished, proxy_jobs
from rbridge.miniature.recipes import RECIPES
from rbridge.miniature.replies import Reply, reply
from rbridge.miniature.run import MiniatureRun, run_miniature, run_proxies
from rbridge.miniature.targets import COMMAND, record, recorded, target_jobs
from rbridge.miniature.train import run_job
from rbridge.miniature.vocabularies import frontier_tokenizer, proxy_tokenizer
from rbridge.miniature.world import DOUBLE, Problem, Step, draw_problem, stream
from rbridge.proxies.ladder import Size
from rbridge.proxies.models import new_model
from rbridge.traces.exchange import read_exchange

TINY = Size("tiny", width=16, heads=1, num_tokens=6_000, learning_rate=1e-2)
# Smaller and shorter than the real one: it is right often enough to write traces, and a test can wait for it.
WRITER = replace(FRONTIER, size=Size("frontier", 64, 4, 500_000, 3e-3), num_problems=50)
JOBS = proxy_jobs(RECIPES[:2], seeds=(0,), size=TINY, num_problems=10)
NUM_TRACES = 12


@pytest.fixture(autouse=True)
def _one_thread():
    """One thread, as in the workers: more only wait for one another at these sizes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MiniatureRun, list[str]]:
    """A run of two tiny proxies, one of them finished before, and a small writer: folder, result, messages."""
    out = tmp_path_factory.mktemp("miniature")
    run_job(JOBS[0], out / "proxies" / JOBS[0].name)
    (out / "proxies" / f".{JOBS[1].name}.tmp-1").mkdir()  # as a killed worker leaves it
    told: list[str] = []
    run = run_miniature(
        out, jobs=JOBS, frontier=WRITER, num_traces=NUM_TRACES, processes=2, progress=told.append
    )
    return out, run, told


def weights(folder: Path) -> bytes:
    """A checkpoint's weights."""
    return (folder / "model.safetensors").read_bytes()


def lines(traces: Path) -> list[dict]:
    """The lines of an exchange file."""
    return [json.loads(line) for line in traces.read_text().splitlines()]


def test_every_job_leaves_a_labelled_model(ran: tuple[Path, MiniatureRun, list[str]]):
    """The proxies come in the order of their jobs, labelled, and nothing else is left of them."""
    out, run, _ = ran
    assert [model.folder for model in run.proxies] == [out / "proxies" / job.name for job in JOBS]
    for job, model in zip(JOBS, run.proxies, strict=True):
        labels = model.labels
        assert (labels.recipe, labels.seed, labels.size) == (job.recipe.name, 0, "tiny")
        loaded = AutoModelForCausalLM.from_pretrained(model.folder)
        assert labels.parameters == loaded.num_parameters()
        assert 6_000 <= labels.tokens < 6_200
        assert labels.flops == 6 * labels.parameters * labels.tokens
        assert json.loads((model.folder / "rbridge.json").read_text())["step"] == labels.step
    assert {path.name for path in (out / "proxies").iterdir()} == {job.name for job in JOBS}


def test_a_job_gives_the_same_bits_in_any_process(ran: tuple[Path, MiniatureRun, list[str]], tmp_path: Path):
    """A proxy trained here, on one thread, is the one that a worker trained."""
    _, run, _ = ran
    here = run_job(JOBS[1], tmp_path / "here")
    assert weights(here.folder) == weights(run.proxies[1].folder)
    assert here == replace(run.proxies[1], folder=here.folder)


def test_a_run_tells_what_it_does(ran: tuple[Path, MiniatureRun, list[str]]):
    """It says what an earlier run had finished, then every model as it is done."""
    _, _, told = ran
    assert told[0] == "1 of 2 models are kept from an earlier run"
    assert re.fullmatch(r"2/2 std50-tiny-seed0: \d+\.\d % right of 10", told[1])
    assert re.fullmatch(rf"frontier: \d+\.\d % right of 50; it wrote {NUM_TRACES} verified traces", told[2])


def test_a_finished_run_is_read_not_run(ran: tuple[Path, MiniatureRun, list[str]]):
    """The same call again gives the same result and writes nothing."""
    out, run, _ = ran

    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}

    before = files()
    assert run == run_miniature(
        out, jobs=JOBS, frontier=WRITER, num_traces=NUM_TRACES, progress=lambda _: None
    )
    assert files() == before


def test_another_job_replaces_the_folder(tmp_path: Path):
    """A folder of other settings under the same name is never taken for this job's."""
    job = replace(JOBS[0], size=replace(TINY, num_tokens=2_000), num_problems=2)
    first = run_job(job, tmp_path / "model")
    assert finished(job, tmp_path / "model") == first
    longer = replace(job, size=replace(TINY, num_tokens=3_000))
    assert finished(longer, tmp_path / "model") is None
    assert run_job(longer, tmp_path / "model").labels.tokens > first.labels.tokens
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_traces_are_exchange_lines_that_our_reader_takes(ran: tuple[Path, MiniatureRun, list[str]]):
    """No line is bad; each trace is right, ends before its answer, and its pieces spell it."""
    _, run, _ = ran
    read = read_exchange([run.traces], default_voice="x")
    assert not read.bad
    assert len(read.traces) == NUM_TRACES
    for number, line in enumerate(lines(run.traces)):
        assert (line["benchmark"], line["problem_id"]) == ("miniature", f"{number:04d}")
        assert line["voice"] == "miniature-frontier"
        assert line["correct"] is True
        assert line["prompt"] == f"Q: {line['question']}\nA:"
        assert line["reasoning"].endswith(f" = {line['answer']}.")
        assert "Answer" not in line["reasoning"]
        assert "".join(piece["text"] for piece in line["pieces"]) == line["reasoning"]
        assert all(piece["logprob"] <= 0 for piece in line["pieces"])


def test_logprobs_are_the_models_own(ran: tuple[Path, MiniatureRun, list[str]]):
    """Reading each trace back without cache, batch or padding gives the log-probabilities that it was written with."""
    _, run, _ = ran
    model = AutoModelForCausalLM.from_pretrained(run.frontier.folder)
    tokenizer = AutoTokenizer.from_pretrained(run.frontier.folder)
    for line in lines(run.traces):
        prompt = tokenizer.encode(line["prompt"])
        written = tokenizer.encode(f" {line['reasoning']}")
        with torch.inference_mode():
            logits_TV = model(torch.tensor([prompt + written])).logits[0]
        read_back = logits_TV.log_softmax(-1)[len(prompt) - 1 : -1].gather(1, torch.tensor(written)[:, None])[
            :, 0
        ]
        torch.testing.assert_close(
            torch.tensor([piece["logprob"] for piece in line["pieces"]]), read_back, rtol=1e-3, atol=1e-4
        )


def test_traces_are_the_same_each_time(ran: tuple[Path, MiniatureRun, list[str]], tmp_path: Path):
    """A second writing by the same model gives the same file."""
    _, run, _ = ran
    write_traces(run.frontier.folder, tmp_path / "again.jsonl", num_traces=NUM_TRACES)
    assert (tmp_path / "again.jsonl").read_bytes() == run.traces.read_bytes()


def test_a_model_that_cannot_answer_is_no_frontier(tmp_path: Path):
    """A model of a few steps is refused, with what to do, and no file is written."""
    writer = replace(WRITER, size=replace(TINY, num_tokens=1_000), num_problems=1)
    folder = run_job(writer, tmp_path / "frontier").folder
    with pytest.raises(InputError, match=r"only 0 of 12 sampled replies .* train the frontier model longer"):
        write_traces(folder, tmp_path / "traces.jsonl", num_traces=3)
    assert not (tmp_path / "traces.jsonl").exists()


def test_a_trace_is_cut_before_its_answer():
    """The space after the prompt and the answer sentence are no part of it; bytes of a character stay bytes."""
    problem = Problem("Mia", "pens", 3, (DOUBLE, Step("gives", "-", 2)))
    tokens = ("ĠSo", "Ġ6", "ÃĦ", "Ã", "¤", ".", "ĠAnswer", ":", "Ġ4")
    said = Reply(" So 6Ää. Answer: 4", tokens, tuple(-float(number) for number in range(9)))
    assert num_trace_tokens(said) == 6
    assert trace("7", problem, said, num_tokens=6)["reasoning"] == "So 6Ää."
    assert trace("7", problem, said, num_tokens=6)["pieces"] == [
        {"text": "So", "logprob": 0.0},
        {"text": " 6", "logprob": -1.0},
        {"text": "Ä", "logprob": -2.0},
        {"bytes": [0xC3], "logprob": -3.0},
        {"bytes": [0xA4], "logprob": -4.0},
        {"text": ".", "logprob": -5.0},
    ]


def test_a_token_across_the_answers_edge_is_noticed():
    """Such a reply has no trace: its last weight would belong to the answer as well."""
    assert num_trace_tokens(Reply(" So. Answer: 4", ("ĠSo", ".ĠAnswer", ":", "Ġ4"), (0.0,) * 4)) is None


def test_greedy_replies_do_not_depend_on_the_batch():
    """A prompt is answered alike alone and among longer ones that pad it."""
    tokenizer = proxy_tokenizer()
    model = new_model(TINY, vocab_size=640, end_id=tokenizer.eos_token_id, context=256, seed=0)
    rng = stream("batch")
    prompts = [draw_problem(rng, split="accuracy").prompt for _ in range(8)]
    together = reply(model, tokenizer, prompts=prompts, sample_seed=None)
    alone = [reply(model, tokenizer, prompts=[prompt], sample_seed=None)[0] for prompt in prompts]
    assert [said.text for said in together] == [said.text for said in alone]


def test_samples_are_fixed_by_their_seed():
    """One seed gives the same samples twice, another gives others; greedy replies are neither."""
    tokenizer = frontier_tokenizer()
    model = new_model(TINY, vocab_size=len(tokenizer), end_id=0, context=256, seed=0)
    said = [reply(model, tokenizer, prompts=["Q: x?\nA:"], sample_seed=seed) for seed in (1, 1, 2)]
    assert said[0] == said[1] != said[2]


def test_the_recorded_targets_are_those_of_the_recipes():
    """Every recipe has its models in the table that ships, of the size and settings that the code names."""
    shipped = recorded()
    table = pl.read_csv(shipped.path)
    manifest = json.loads(shipped.path.with_suffix(".json").read_text())
    jobs = target_jobs()
    assert table.select("recipe", "seed").rows() == [(job.recipe.name, job.seed) for job in jobs]
    assert [recipe["name"] for recipe in manifest["recipes"]] == [recipe.name for recipe in RECIPES]
    assert manifest["size"] == {field: getattr(T128, field) for field in manifest["size"]}
    model = new_model(T128, vocab_size=len(proxy_tokenizer()), end_id=0, context=256, seed=0)
    assert set(table["parameters"]) == {shipped.parameters} == {model.num_parameters()}
    assert set(table["n"]) == {shipped.num_problems}
    assert (table["flops"] == 6.0 * table["parameters"] * table["tokens"]).all()
    assert all(abs(right - round(right)) < 1e-9 for right in table["accuracy"] * table["n"])
    assert f"{COMMAND.removeprefix('make ')}:" in Path(__file__).parents[1].joinpath("Makefile").read_text()


def test_recording_and_reading_go_together(tmp_path: Path, ran: tuple[Path, MiniatureRun, list[str]]):
    """What is recorded of a run is read back, with a row a model and its binomial error."""
    out, _, _ = ran
    models = run_proxies(out / "proxies", jobs=JOBS, progress=lambda _: None)
    record(models, jobs=JOBS, folder=tmp_path)
    read = recorded(tmp_path)
    assert (read.num_seeds, read.num_problems, read.tokens) == (1, 10, 6_000)
    rows = pl.read_csv(read.path).to_dicts()
    assert [row["recipe"] for row in rows] == ["std75", "std50"]
    for row in rows:
        assert row["stderr"] == pytest.approx((row["accuracy"] * (1 - row["accuracy"]) / 10) ** 0.5, abs=1e-6)


def test_the_parent_process_needs_no_torch():
    """Planning a run and reading the targets import no torch; the workers do."""
    code = "import sys, rbridge.miniature.run, rbridge.miniature.targets; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_jobs_have_folders_of_their_own():
    """No two models of a run share a name."""
    jobs: list[Job] = [*proxy_jobs(), *target_jobs(), FRONTIER]
    assert len({job.name for job in jobs}) == len(jobs) == 16 + 24 + 1
