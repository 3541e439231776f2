"""Sources of log-probabilities: each proven at start-up, a served model scored by its token ids."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest_httpserver import HTTPServer
from transformers import AutoModelForCausalLM
from werkzeug import Request, Response

from rbridge.cli import run
from rbridge.errors import InputError
from rbridge.scoring import endpoint
from rbridge.scoring.checkpoints import Checkpoint
from rbridge.scoring.encode import Encoded
from rbridge.scoring.hf import active_parameters, open_source
from rbridge.scoring.source import Losses, Source, prove
from rbridge.store.runs import read_runs
from tests.checkpoints import build
from tests.commands import Result, rbridge

REPLIES = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "replies").iterdir()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama checkpoint, whose tokenizer puts a BOS, and three traces."""
    folder = tmp_path_factory.mktemp("sources")
    build("llama3", folder / "llama")
    lines = [
        {
            "benchmark": "mine",
            "problem_id": str(i),
            "voice": "v",
            "question": f"{i}?",
            "reasoning": "So 2 é. " * (i + 1),
        }
        for i in range(3)
    ]
    (folder / "t.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / "t.jsonl"), "-o", str(folder / "bundle")]) == 0
    return folder


@pytest.fixture(scope="module")
def model(place: Path) -> Any:
    """The same model, to play the server."""
    return AutoModelForCausalLM.from_pretrained(place / "llama").eval()


def _logprobs(model: Any, ids: list[int]) -> list[float | None]:
    """Null, then the log-probability of each token but the first."""
    with torch.inference_mode():
        logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return [None, *[float(logprobs[at - 1, token]) for at, token in enumerate(ids) if at]]


def _vllm(values: list, ids: list[int], _: dict) -> dict:
    reply = copy.deepcopy(REPLIES["vllm_prompt_logprobs"])
    entry = next(iter(reply["choices"][0]["prompt_logprobs"][1].values()))
    reply["choices"][0]["prompt_logprobs"] = [
        None if value is None else {str(token): {**entry, "logprob": value}, "999999": entry}
        for token, value in zip(ids, values, strict=True)
    ]
    return reply


def _echoing(values: list, ids: list[int], body: dict) -> dict:
    """Knows nothing of prompt_logprobs; echoes the prompt before the one token that it generates."""
    if not body.get("echo"):
        return copy.deepcopy(REPLIES["generated_only"])
    reply = copy.deepcopy(REPLIES["echo"])
    logprobs = reply["choices"][0]["logprobs"]
    logprobs["token_logprobs"] = [*values, -0.5]
    logprobs["tokens"] = [f"token_id:{token}" for token in [*ids, 1]]
    return reply


def _generated_only(_: list, __: list[int], ___: dict) -> dict:
    return REPLIES["generated_only"]


def _shifted(values: list, ids: list[int], body: dict) -> dict:
    """Echoes a BOS of its own and generates nothing, so each value stands one place too late."""
    return _echoing([*values[:1], -3.0, *values[1:-1]], ids, body)


def _bos_added(values: list, ids: list[int], _: dict) -> dict:
    return _vllm([None, *values], [1, *ids], {})


def _nulls(values: list, ids: list[int], _: dict) -> dict:
    reply = _vllm(values, ids, {})
    reply["choices"][0]["prompt_logprobs"][5] = None
    return reply


def _zero_chance(values: list, ids: list[int], _: dict) -> dict:
    return _vllm([*values[:-1], -9999.0], ids, {})


def _serve(server: HTTPServer, model: Any, answer: Callable[[list, list[int], dict], dict]) -> list[dict]:
    """A completion endpoint over a model; the list fills with the requests."""
    asked: list[dict] = []

    def complete(request: Request) -> Response:
        body = json.loads(request.data)
        asked.append(body)
        document = answer(_logprobs(model, body["prompt"]), body["prompt"], body)
        return Response(json.dumps(document), mimetype="application/json")

    server.expect_request("/v1/completions").respond_with_handler(complete)
    server.expect_request("/v1/models").respond_with_json({"data": [{"id": "proxy", "max_model_len": 1024}]})
    return asked


def _score(capsys: pytest.CaptureFixture[str], place: Path, out: Path, *more: object) -> Result:
    return rbridge(capsys, "score", *more, "--traces", place / "bundle", "--shots", 0, "-o", out, "--json")


def _served(capsys: pytest.CaptureFixture[str], place: Path, out: Path, server: HTTPServer) -> Result:
    where = ("--endpoint", server.url_for("/v1"), "--tokenizer", place / "llama")
    return _score(capsys, place, out, "proxy", *where)


def _losses(out: Path) -> dict[str, list[float]]:
    (found,) = read_runs(out)
    return {one.key.problem_id: one.tokens.nll.tolist() for one in found.scored()}


@pytest.mark.parametrize("answer", [_vllm, _echoing])
def test_a_served_model_scores_as_its_folder_does(
    place: Path,
    model: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    httpserver: HTTPServer,
    answer: Any,
) -> None:
    """Token ids go out, one value a token comes back, from vLLM's and from OpenAI's form of reply."""
    asked = _serve(httpserver, model, answer)
    result = _served(capsys, place, tmp_path / "served", httpserver)
    assert result.status == 0, result.err
    _score(capsys, place, tmp_path / "folder", place / "llama")
    served, folder = _losses(tmp_path / "served"), _losses(tmp_path / "folder")
    assert served.keys() == folder.keys()
    for key, losses in served.items():
        assert losses == pytest.approx(folder[key], abs=5e-5)
    assert all(isinstance(token, int) for body in asked for token in body["prompt"])
    (found,) = read_runs(tmp_path / "served")
    assert (found.manifest.engine, found.manifest.parameters, found.manifest.context_length) == (
        "endpoint",
        None,
        1023,
    )
    again = _served(capsys, place, tmp_path / "served", httpserver)
    assert "scored already" in again.err


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (_generated_only, "gives log-probabilities of generated tokens only.*serve the model with vLLM"),
        (_shifted, "does not depend on it, so the values are shifted by one token"),
        (_bos_added, "24 prompt tokens went in, values of 25 came out.*BOS"),
        (_nulls, "gives None as the log-probability of a token"),
        (_zero_chance, "gives -9999.0 as the log-probability of a token"),
    ],
)
def test_a_server_that_would_give_wrong_scores_is_refused(
    place: Path,
    model: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    httpserver: HTTPServer,
    answer: Any,
    message: str,
) -> None:
    """Nothing is stored, and the line says what is wrong and what to do."""
    _serve(httpserver, model, answer)
    result = _served(capsys, place, tmp_path / "runs", httpserver)
    assert result.status == 1
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert re.search(message, error)
    assert not list(tmp_path.glob("runs/**/*.parquet"))


def test_another_model_under_the_same_name_has_a_run_of_its_own(
    place: Path, model: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], httpserver: HTTPServer
) -> None:
    """A server's name for a model is no identity."""
    _serve(httpserver, model, _vllm)
    _served(capsys, place, tmp_path / "runs", httpserver)
    httpserver.clear()
    other = copy.deepcopy(model)
    other.lm_head.weight.data *= 1.1
    _serve(httpserver, other, _vllm)
    assert _served(capsys, place, tmp_path / "runs", httpserver).status == 0
    one, two = read_runs(tmp_path / "runs")
    assert one.manifest.key != two.manifest.key


def test_a_busy_server_is_asked_again_and_one_that_is_not_there_is_one_line(
    model: Any, httpserver: HTTPServer
) -> None:
    """503 twice, then an answer; nobody on the port; a 404."""
    for _ in range(2):
        httpserver.expect_ordered_request("/v1/completions").respond_with_data("busy", status=503)
    ids = list(range(3, 27))
    where = endpoint._Server(httpserver.url_for("/v1"), "proxy", 0.0)
    httpserver.expect_ordered_request("/v1/completions").respond_with_json(
        _vllm(_logprobs(model, ids), ids, {})
    )
    assert where.complete(ids, {})["prompt_logprobs"][0] is None
    with pytest.raises(InputError, match=r"cannot be reached .*is the server up"):
        replace(where, url="http://127.0.0.1:9/v1").complete(ids, {})
    httpserver.clear()
    httpserver.expect_request("/v1/completions").respond_with_data("no such model", status=404)
    with pytest.raises(InputError, match="status 404: no such model"):
        where.complete(ids, {})


def test_an_endpoint_needs_a_tokenizer(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Token ids are sent, so it must be known whose."""
    result = _score(capsys, place, tmp_path / "r", "proxy", "--endpoint", "http://127.0.0.1:9/v1")
    assert result.status == 1
    assert "--tokenizer" in result.err


def _proven(place: Path, **changed: Any) -> float:
    source = open_source(
        Checkpoint("m", str(place / "llama")), dtype="float32", device="cpu", batch_tokens=64
    )
    broken = {name: change(source) if callable(change) else change for name, change in changed.items()}
    return prove(replace(source, **broken))


def test_transformers_pass_the_self_test(place: Path) -> None:
    """Batches change nothing beyond rounding."""
    assert 0 <= _proven(place) <= 5e-5


def _doctored(change: Callable[[Losses, Any], Losses]) -> Callable[[Source], Callable]:
    return lambda source: lambda items: change([values.copy() for values in source.losses(items)], items)


def _capacity(values: Losses, items: list[Encoded]) -> Losses:
    """Beyond 128 tokens a batch, experts drop what comes last."""
    if sum(len(item.ids) for item in items) > 128:
        values[-1] = values[-1] + np.float32(0.3)
    return values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values, _: [one[1:] for one in values], "tokens went in.*values came out"),
        (lambda values, _: [one * np.float32("nan") for one in values], "not finite"),
        (
            lambda values, _: [one + np.float32(0.01) for one in values],
            "differ from the reference by 0.01 nats",
        ),
        (lambda values, items: values if len(items) == 1 else values[::-1], "values came out"),
        (_capacity, r"depend on what else is in the batch .by 0.3 nats a token.*drops tokens at capacity"),
    ],
)
def test_the_self_test_catches(place: Path, change: Any, message: str) -> None:
    """Too few values, NaN, other numbers than the reference, a changed order, dropped tokens."""
    with pytest.raises(InputError, match=message):
        _proven(place, losses=_doctored(change))


def test_the_self_test_catches_a_shift_and_later_tokens_without_a_reference(place: Path) -> None:
    """Each value one place too late; each value moved by the last token."""

    def late(values: Losses, _: list[Encoded]) -> Losses:
        return [np.concatenate([one[:1], one[:-1]]) for one in values]

    def looking(values: Losses, items: list[Encoded]) -> Losses:
        return [one + np.float32(item.ids[-1]) for one, item in zip(values, items, strict=True)]

    with pytest.raises(InputError, match="shifted by one token"):
        _proven(place, reference=None, losses=_doctored(late))
    with pytest.raises(InputError, match="depend on later tokens"):
        _proven(place, reference=None, losses=_doctored(looking))


def test_active_parameters_of_a_mixture_of_experts(tmp_path: Path) -> None:
    """Four experts of which a token uses two: half of the experts' weights are idle."""
    build("qwen3-moe", tmp_path / "moe")
    moe = AutoModelForCausalLM.from_pretrained(tmp_path / "moe")
    config = moe.config
    one_expert = 3 * config.hidden_size * config.moe_intermediate_size
    idle = config.num_hidden_layers * 2 * one_expert
    assert active_parameters(moe) == moe.num_parameters() - idle
