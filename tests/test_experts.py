"""A mixture of experts that drops tokens at capacity has no score of its own, and is refused at the start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeTopKRouter

from rbridge.errors import InputError
from rbridge.scoring.checkpoints import Checkpoint
from rbridge.scoring.hf import open_source
from rbridge.scoring.source import prove
from tests.checkpoints import build
from tests.scoring import make_place, score

BATCH = 1024


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3 with four experts of which a token takes two, and traces."""
    folder = make_place(tmp_path_factory.mktemp("experts"))
    build("qwen3-moe", folder / "moe")
    return folder


def limit(monkeypatch: pytest.MonkeyPatch, capacity: Callable[[int], float]) -> None:
    """Experts take tokens in the order of the batch up to a capacity; the rest pass them by, as in Switch."""
    real = Qwen3MoeTopKRouter.forward

    def forward(router: Any, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        logits, weights, chosen = real(router, hidden)
        wanted = torch.nn.functional.one_hot(chosen, router.num_experts).sum(1)  # (tokens, experts)
        place_in_line = wanted.cumsum(0).gather(1, chosen)
        return logits, weights * (place_in_line <= capacity(len(wanted))), chosen

    monkeypatch.setattr(Qwen3MoeTopKRouter, "forward", forward)


def opened(place: Path) -> float:
    """Opened and proven as a sweep does it."""
    checkpoint = Checkpoint("moe", str(place / "moe"))
    return prove(open_source(checkpoint, dtype="float32", device="cpu", batch_tokens=BATCH))


def test_experts_without_a_capacity_pass(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The architecture as it is, and with a capacity that no batch of this size can reach."""
    assert 0 <= opened(place) <= 5e-5
    limit(monkeypatch, lambda _: BATCH)
    assert 0 <= opened(place) <= 5e-5


CAPACITIES = {
    "1.25 times the mean load": lambda tokens: 1.25 * tokens * 2 / 4,
    "8 tokens": lambda _: 8,
    "60 tokens": lambda _: 60,
    "a third of a full batch": lambda _: BATCH / 3,
}


@pytest.mark.parametrize("capacity", CAPACITIES.values(), ids=CAPACITIES)
def test_a_capacity_is_found(
    place: Path, monkeypatch: pytest.MonkeyPatch, capacity: Callable[[int], float]
) -> None:
    """Relative to the batch or absolute, reached by one short sequence or only by a full batch."""
    limit(monkeypatch, capacity)
    with pytest.raises(InputError, match=r"depend on what else is in the batch|depend on later tokens"):
        opened(place)


def test_nothing_of_such_a_model_is_stored(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says why, and no run is kept."""
    limit(monkeypatch, lambda _: 60)
    result = score(capsys, place, tmp_path / "runs", place / "moe")
    assert result.status == 1
    assert "an MoE that drops tokens at capacity?" in result.err
    assert not list((tmp_path / "runs").glob("*/tokens.parquet"))
