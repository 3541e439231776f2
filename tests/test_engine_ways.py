"""Every way in which the engine may run a model gives what the model's plain forward gives, one sequence at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    OlmoConfig,
    PreTrainedModel,
)

from rbridge.errors import InputError
from rbridge.records import TraceKey
from rbridge.scoring import matmul
from rbridge.scoring.encode import Encoded
from rbridge.scoring.engine import Engine

SMALL = {
    "vocab_size": 1500,  # more than one tile of the head
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "pad_token_id": None,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def build(config: object) -> PreTrainedModel:
    """A model of random weights."""
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def items_of(lengths: list[int], *, begin: int = 0) -> list[Encoded]:
    """Sequences of random ids, the first ``begin`` the same in all; the last third of each is scored."""
    rng = np.random.default_rng(0)
    head = rng.integers(0, 1500, size=begin).tolist()
    items = []
    for number, length in enumerate(lengths):
        ids = (*head, *rng.integers(0, 1500, size=length).tolist())
        scored = np.arange(begin + 2 * length // 3, len(ids))
        key = TraceKey("b", str(number), "v")
        items.append(Encoded(key, 0, ids, scored, scored, scored + 1, None, None, len(ids)))
    return items


def plain(model: PreTrainedModel, item: Encoded) -> np.ndarray:
    """Losses from all logits of one sequence alone, log-softmax in float64."""
    ids = torch.tensor([item.ids])
    with torch.inference_mode():
        found = -model(input_ids=ids, use_cache=False).logits[0].double().log_softmax(-1)
    return found[item.scored - 1, ids[0, item.scored]].numpy()


def read(engine: Engine, items: list[Encoded], budget: int) -> dict[TraceKey, np.ndarray]:
    """Losses of all items by the engine's own plan."""
    return {
        item.key: losses
        for batch in engine.plan(items, budget)
        for item, losses in zip(batch, engine.losses(batch), strict=True)
    }


WAYS: list[tuple[str, Callable[[], object], str, bool]] = [
    ("olmo", lambda: OlmoConfig(**SMALL), "tiles", True),
    ("llama", lambda: LlamaConfig(**SMALL), "tiles", True),
    ("gemma2", lambda: Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=3.0), "rows", False),
    (
        "mamba",
        lambda: MambaConfig(vocab_size=1500, hidden_size=32, num_hidden_layers=2, state_size=4),
        "tiles",
        False,
    ),
]


@pytest.mark.parametrize(("name", "config", "head", "packs"), WAYS, ids=[way[0] for way in WAYS])
def test_every_way_gives_the_losses_of_the_plain_forward(
    name: str, config: Callable[[], object], head: str, packs: bool
) -> None:
    """Packed or padded, in tiles or through the model's own logit cap: within 5e-5 a token of one by one."""
    model = build(config())
    engine = Engine(model, name=name)
    assert (engine.head, engine.packed_up_to > 0) == (head, packs)
    items = items_of([40, 7, 90, 33, 64])
    found = read(engine, items, 150)
    for item in items:
        assert found[item.key] == pytest.approx(plain(model, item), abs=5e-5)
    assert model.config._attn_implementation != "rbridge_segments"


def test_only_sequences_inside_a_sliding_window_are_packed() -> None:
    """A window longer than the probe cannot be seen by it: the config's is obeyed."""
    model = build(MistralConfig(**SMALL, sliding_window=48))
    engine = Engine(model, name="mistral")
    assert engine.packed_up_to == 48
    items = items_of([40, 120, 48, 60, 20])
    assert [[len(item.ids) for item in batch] for batch in engine.plan(items, 120)] == [
        [120], [60], [48, 40, 20],
    ]  # fmt: skip
    found = read(engine, items, 120)
    for item in items:
        assert found[item.key] == pytest.approx(plain(model, item), abs=5e-5)


def test_a_shared_beginning_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items behind the same 600 tokens give the losses of one by one, and only their own tokens are run."""
    model = build(OlmoConfig(**SMALL))
    engine = Engine(model, name="olmo")
    items = items_of([30, 45, 50, 21], begin=600)
    rows: list[int] = []
    real = engine._row

    def counting(ids: list[int], *rest: object, **more: object) -> object:
        rows.append(len(ids))
        return real(ids, *rest, **more)

    monkeypatch.setattr(engine, "_row", counting)
    found = read(engine, items, 100)
    # The prefix, then packs of what follows it; the last token of a sequence predicts nothing.
    assert rows[0] == 600
    assert sum(rows[1:]) == 30 + 45 + 50 + 21 - 4
    for item in items:
        assert found[item.key] == pytest.approx(plain(model, item), abs=5e-5)


def test_a_prefix_is_put_before_every_segment_where_torch_gives_no_totals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same losses without the kernel that returns log-sum-exps, as on a GPU."""
    monkeypatch.setattr("rbridge.scoring.attention._WITH_TOTALS", None)
    model = build(LlamaConfig(**SMALL))
    items = items_of([30, 45], begin=520)
    found = read(Engine(model, name="llama"), items, 100)
    for item in items:
        assert found[item.key] == pytest.approx(plain(model, item), abs=5e-5)


def test_a_batch_that_does_not_fit_is_halved_and_stays_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory above 100 tokens: the same losses from smaller packs, and one failure only."""
    model = build(OlmoConfig(**SMALL))
    engine = Engine(model, name="olmo")
    items = items_of([40, 35, 30, 25, 20, 15])
    real, failures = engine._row, []

    def small_card(ids: list[int], *rest: object, **more: object) -> object:
        if len(ids) > 100:
            failures.append(len(ids))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return real(ids, *rest, **more)

    monkeypatch.setattr(engine, "_row", small_card)
    for _ in range(2):
        found = read(engine, items, 4096)
        assert len(failures) == 1
        for item in items:
            assert found[item.key] == pytest.approx(plain(model, item), abs=5e-5)


def test_a_head_that_does_not_fit_goes_by_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sequence whose head runs out of memory at 64 rows is read 16 at a time."""
    import rbridge.scoring.engine as module

    model = build(OlmoConfig(**SMALL))
    engine = Engine(model, name="olmo")
    real, seen = module.tiled_losses, []

    def small_card(*arguments: object, rows: int) -> torch.Tensor:
        seen.append(rows)
        if rows > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*arguments, rows=rows)

    monkeypatch.setattr(module, "tiled_losses", small_card)
    (item,) = items_of([90])
    assert engine.losses([item])[0] == pytest.approx(plain(model, item), abs=5e-5)
    assert seen == [256, 64, 16]


def test_what_never_fits_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sequence that does not fit at all: the device and the remedy are named; other errors pass."""
    model = build(OlmoConfig(**SMALL))
    engine = Engine(model, name="olmo")

    def no_card(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(engine, "_row", no_card)
    with pytest.raises(
        InputError, match=r"olmo: one sequence of 90 tokens \(b/0/v\) does not fit .* cpu; use"
    ):
        engine.losses(items_of([90]))

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(engine, "_row", broken)
    with pytest.raises(RuntimeError, match="something else"):
        engine.losses(items_of([90]))


@pytest.mark.parametrize(
    "config", [OlmoConfig(**SMALL), Gemma2Config(**SMALL, head_dim=8)], ids=["olmo", "gemma2"]
)
def test_statistics_are_those_of_sorted_probabilities(config: object) -> None:
    """Losses, ranks, entropies and margins against numpy on float64 probabilities."""
    model = build(config)
    items = items_of([40, 25])
    found = Engine(model, name="m").statistics(items)
    for item, (losses, statistics) in zip(items, found, strict=True):
        assert losses == pytest.approx(plain(model, item), abs=5e-5)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([item.ids])).logits[0, item.scored - 1].double().numpy()
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        right = p[np.arange(len(p)), np.array(item.ids)[item.scored]]
        first, second = np.sort(p, axis=1)[:, ::-1][:, :2].T
        assert statistics.rank.tolist() == [
            1 + int((row > value).sum()) for row, value in zip(p, right, strict=True)
        ]
        assert statistics.entropy == pytest.approx(-(p * np.log(p)).sum(1), abs=1e-5)
        assert statistics.probability_margin == pytest.approx(first - second, abs=1e-6)
        assert statistics.logit_margin == pytest.approx(np.log(first / second), abs=2e-5)


def test_losses_far_from_zero_logits_are_exact() -> None:
    """Logits moved by 200 leave float32's range of exponentials and still give the same losses."""
    from rbridge.scoring.head import tiled_losses

    torch.manual_seed(0)
    head = torch.nn.Linear(16, 3000)
    hidden, target = torch.randn(50, 16), torch.randint(0, 3000, (50,))
    exact = -(head.double()(hidden.double())).log_softmax(-1)[torch.arange(50), target]
    head = head.float()
    for moved in (0.0, -200.0, 200.0):
        with torch.inference_mode():
            head.bias += moved
            found = tiled_losses(hidden, target, head, rows=32)
            head.bias -= moved
        assert found.numpy() == pytest.approx(exact.detach().numpy(), abs=1e-4 if moved else 2e-6)


def test_a_faster_product_is_kept_only_if_it_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe sets oneDNN where it is faster and equal, and puts the setting back where it rounds."""
    onednn = torch.backends.mkldnn.matmul
    before = onednn.fp32_precision
    real, seconds = torch.Tensor.__matmul__, iter([1.0, 0.4, 1.0, 0.4])
    monkeypatch.setattr(matmul, "_seconds", lambda *_: next(seconds))
    try:
        assert matmul.choose_float32_matmul.__wrapped__() == "onednn"
        assert onednn.fp32_precision == "bf16"
        onednn.fp32_precision = before

        def rounding(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            if left.dtype == torch.float32 and onednn.fp32_precision == "bf16":
                return real(left.bfloat16(), right.bfloat16()).float()
            return real(left, right)

        monkeypatch.setattr(torch.Tensor, "__matmul__", rounding)
        assert matmul.choose_float32_matmul.__wrapped__() == "default"
        assert onednn.fp32_precision == before
    finally:
        onednn.fp32_precision = before
