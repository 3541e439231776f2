"""What the page says of itself: declared or exploratory, and several benchmarks in one order."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest

from rbridge.report import build_page, render
from rbridge.store.declarations import write_declaration
from tests.commands import rbridge
from tests.reports import make_bundle, make_runs, make_traces, ranked


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three recipes of two seeds on two benchmarks."""
    bundle = make_bundle(tmp_path / "b", [*make_traces("sums", 6), *make_traces("words", 6)])
    make_runs(tmp_path / "runs", bundle, {"a": 0.3, "b": 0.9, "c": 1.6})
    return tmp_path / "runs"


def _page(capsys: pytest.CaptureFixture[str], runs: Path, *options: object) -> str:
    out = runs.parent / "page.html"
    assert rbridge(capsys, "report", runs, "-o", out, *options).status == 0
    return unescape(re.sub(r"<[^>]+>", "", out.read_text(encoding="utf-8")))


def test_the_page_says_declared_or_exploratory_on_every_ranking(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One benchmark is declared, the other and their combination are not; all count the metrics looked at."""
    assert _page(capsys, runs).count("Exploratory; 4 metrics looked at.") == 3
    write_declaration(
        runs.parent / "d.json", metric="rbridge", benchmarks=["sums"], decision="train the first", margin=0.01,
        now=datetime(2026, 11, 1, tzinfo=UTC),
    )  # fmt: skip
    page = _page(capsys, runs, "--declaration", runs.parent / "d.json")
    assert (
        len(
            re.findall(r"Declared 2026-11-01T\S+, [0-9a-f]{12}: train the first; 4 metrics looked at\.", page)
        )
        == 1
    )
    assert page.count("Exploratory (the declared benchmarks are sums); 4 metrics looked at.") == 1
    assert page.count("Exploratory; 4 metrics looked at.") == 1


def test_the_page_ranks_all_benchmarks_together(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A section of its own with rule, direction and who leads without each benchmark."""
    page = _page(capsys, runs)
    assert "sums, words together by mean z-score of rbridge, higher is better" in page
    assert "each benchmark counts once" in page


def test_a_page_of_tables_counts_its_metrics_too(tmp_path: Path) -> None:
    """A ranking without anything beside it has looked at one metric."""
    group = ranked({"a": [1.0, 2.0], "b": [3.0, 4.0]}, tmp_path)
    assert "Exploratory; 1 metric looked at." in render(build_page(title="t", now="n", groups=[group]))
