"""Scores through the public commands against an oracle written from the specification alone."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from tests import checkpoints, naive
from tests.naive_cases import (
    BENCHMARKS,
    NAMES,
    ROWS,
    SOME,
    VALUES,
    close,
    furthest,
    lines_of,
    losses_of,
    rbridge,
    score,
    shown_items,
    shown_tokens,
    write_rows,
)


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Every checkpoint folder by name."""
    return dict(checkpoints.build_all(tmp_path_factory.mktemp("checkpoints")))


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    """All traces, imported."""
    folder = tmp_path_factory.mktemp("traces")
    rbridge("traces", "import", write_rows(folder / "all.jsonl", ROWS), "-o", folder / "bundle")
    return folder / "bundle"


@dataclasses.dataclass
class Product:
    """All that the product says of one folder of runs."""

    printed: dict
    items: dict[tuple, dict]
    tokens: dict[tuple, list[dict]]


@pytest.fixture(scope="session")
def product(tmp_path_factory, folders, bundle) -> Product:
    """Every checkpoint on every trace, with the options' defaults."""
    runs = tmp_path_factory.mktemp("default") / "runs"
    printed = score(list(folders.values()), bundle, runs)
    return Product(printed, shown_items(runs), shown_tokens(runs, ROWS))


@pytest.fixture(scope="session")
def oracle(folders) -> dict[str, dict[str, tuple[dict, dict]]]:
    """What the specification says, by checkpoint and benchmark: (expected values, reasons of skips)."""
    found: dict[str, dict[str, tuple[dict, dict]]] = {}
    for name, folder in folders.items():
        reader, model = naive.Reader(folder), naive.load_model(folder)
        found[name] = {
            benchmark: naive.score_rows(
                [row for row in ROWS if row["benchmark"] == benchmark],
                reader,
                model,
                checkpoints.RECIPES[name].context,
            )
            for benchmark in BENCHMARKS
        }
    return found


def test_the_oracle_tells_checkpoints_and_texts_apart(oracle) -> None:
    """The fixtures are worth comparing on: predictions differ, most traces are scored, some are skipped."""
    for name, benchmarks in oracle.items():
        scored, skipped = benchmarks["oddities"]
        losses = [loss for one in scored.values() for loss in one.nll]
        assert np.std(losses) > 0.5, name
        assert min(losses) < math.log(300) < max(losses), name
        assert len(scored) > len(skipped)
    reasons = {
        reason
        for benchmarks in oracle.values()
        for _, skipped in benchmarks.values()
        for reason in skipped.values()
    }
    assert reasons == {"normalised", "too long"}
    split = [
        (start, end)
        for start, end in oracle["gpt2"]["oddities"][0]["cjk", "v"].spans
        if (end - start) % 3  # a byte of three
    ]
    assert split


@pytest.mark.parametrize("name", NAMES)
def test_the_same_items_are_skipped_for_the_same_reasons(name, product, oracle) -> None:
    """What the specification skips is skipped, with its reason, and nothing else is."""
    for benchmark in BENCHMARKS:
        scored, skipped = oracle[name][benchmark]
        shown = {
            key[2:]: row.get("reason")
            for key, row in product.items.items()
            if key[:2] == (name, benchmark) and row["trace_nll"] is None
        }
        assert shown == skipped
        printed = {}
        for run in product.printed["runs"]:
            if Path(run["checkpoint"]).name == name and run["benchmark"] == benchmark:
                assert run["shots"] == 0
                assert run["num_skipped"] == len(run["skipped"])
                assert run["num_scored"] == sum(voice == run["voice"] for _, voice in scored)
                printed |= {(entry["problem_id"], run["voice"]): entry["reason"] for entry in run["skipped"]}
        assert printed == skipped


@pytest.mark.parametrize("name", NAMES)
def test_tokens_are_those_of_the_oracle(name, product, oracle) -> None:
    """Byte spans are equal, raw weights equal to 1e-9, losses to 1e-5."""
    for benchmark in BENCHMARKS:
        for key, expected in oracle[name][benchmark][0].items():
            rows = product.tokens[(name, benchmark, *key)]
            assert [row["token"] for row in rows] == list(range(len(rows)))
            assert [(row["start"], row["end"]) for row in rows] == expected.spans, key
            for row, loss in zip(rows, expected.nll, strict=True):
                assert close(loss, row["nll"]), (key, row, loss)
            for index, row in enumerate(rows):
                if expected.weights is None:
                    assert row["weight"] is None
                else:
                    assert row["weight"] == pytest.approx(expected.weights[index], abs=1e-9), (key, row)


@pytest.mark.parametrize("name", NAMES)
def test_values_of_traces_are_those_of_the_oracle(name, product, oracle) -> None:
    """Every per-trace value is within 1e-5; counts are equal; without weights their values are null."""
    for benchmark in BENCHMARKS:
        for key, expected in oracle[name][benchmark][0].items():
            row = product.items[(name, benchmark, *key)]
            assert (row["num_tokens"], row["num_bytes"]) == (
                expected.values["num_tokens"],
                expected.values["num_bytes"],
            )
            assert row["shots"] == 0
            for value in VALUES:
                want = expected.values[value]
                if want is None:
                    assert row[value] is None
                    assert row["reason"] == "no weights"
                else:
                    assert close(want, row[value]), (key, value, want, row[value])


def test_means_of_runs_are_means_over_traces(product, oracle) -> None:
    """Each trace counts once, whatever its length; the standard error is that of a mean."""
    for run in product.printed["runs"]:
        scored = oracle[Path(run["checkpoint"]).name][run["benchmark"]][0]
        for value in VALUES:
            numbers = [
                one.values[value]
                for (_, voice), one in scored.items()
                if voice == run["voice"] and one.values[value] is not None
            ]
            if numbers:
                assert close(float(np.mean(numbers)), run["metrics"][value]["mean"])
            if len(numbers) > 1:
                error = float(np.std(numbers, ddof=1)) / math.sqrt(len(numbers))
                assert close(error, run["metrics"][value]["stderr"])


@pytest.fixture(scope="session")
def few(tmp_path_factory) -> list[Path]:
    """A bundle of a few traces of unequal lengths, and the same traces in another order."""
    folder = tmp_path_factory.mktemp("few")
    names = [
        "plain",
        "letter",
        "code",
        "cjk",
        "zwj",
        "spaces",
        "json-mixed",
        "decomposed",
        "bare",
        "prompt-special",
    ]
    rows = [row for row in ROWS if row["benchmark"] == "oddities" and row["problem_id"] in names]
    bundles = []
    for label, order in (("forth", rows), ("back", rows[::-1])):
        file = write_rows(folder / f"{label}.jsonl", order, ascii_only=label == "back")
        rbridge("traces", "import", file, "-o", folder / label)
        bundles.append(folder / label)
    return [*bundles, folder / "forth.jsonl"]


@pytest.fixture(scope="session")
def scored_few(tmp_path_factory, folders, few) -> dict[str, tuple[dict, dict]]:
    """Tokens and items of some checkpoints under several settings."""
    rows = lines_of(few[2].read_text())
    root = tmp_path_factory.mktemp("settings")
    settings_of = {
        "first": (few[0], ()),
        "second": (few[0], ()),
        "narrow": (few[0], ("--batch-tokens", 64)),
        "wide": (few[0], ("--batch-tokens", 100_000)),
        "back": (few[1], ()),
    }
    found = {}
    for label, (traces, options) in settings_of.items():
        score([folders[name] for name in SOME], traces, root / label, *options)
        found[label] = (losses_of(shown_tokens(root / label, rows)), shown_items(root / label))
    return found


def test_batches_do_not_change_losses(scored_few) -> None:
    """64 and 100,000 tokens a batch differ by less than 5e-5 nats in every token."""
    assert furthest(scored_few["narrow"][0], scored_few["wide"][0]) < 5e-5


def test_the_same_command_twice_gives_the_same_bits(scored_few) -> None:
    """Two runs into different folders are equal to the last bit."""
    assert scored_few["first"] == scored_few["second"]


def test_the_order_of_traces_does_not_matter(scored_few) -> None:
    """A bundle with its lines reversed, and written in ASCII, gives the same losses and items."""
    assert furthest(scored_few["first"][0], scored_few["back"][0]) < 5e-5
    assert scored_few["first"][1].keys() == scored_few["back"][1].keys()
