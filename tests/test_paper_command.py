"""rbridge paper: what comes out of the figures' data, and what does not."""

from __future__ import annotations

import pytest

from tests.commands import rbridge


def test_the_papers_tables_cell_by_cell(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten of the twelve checkable cells match, two differ and say why, all savings match, nulls stand beside."""
    document = rbridge(capsys, "paper", "--json").document
    verdicts = {(cell["benchmark"], cell["metric"]): cell for cell in document["cells"]}
    assert len(verdicts) == 40
    checkable = [cell for cell in verdicts.values() if cell["ours"] is not None]
    assert {cell["metric"] for cell in checkable} == {"acc", "rbridge"}
    differing = {key for key, cell in verdicts.items() if cell["verdict"] == "differs"}
    assert differing == {("gsm8k", "rbridge"), ("math500", "rbridge")}
    assert all("drawn" in verdicts[key]["why"] for key in differing)
    for cell in checkable:
        matches = all(
            f"{cell['ours'][name]:.3f}" == f"{cell['published'][name]:.3f}" for name in cell["ours"]
        )
        assert (cell["verdict"] == "match") == matches
    mean = document["mean"]
    assert (round(mean["ln_tokens"]["train_r2"], 3), round(mean["ln_tokens"]["test_mae"], 2)) == (0.870, 1.34)
    assert {row["verdict"] for row in document["savings"]} == {"match"}
    assert document["frontier"] == {"n_points": 665, "n_on_frontier": 54, "n_drawn": 54}
    checks = {row["benchmark"]: row["first_differences"]["r"] for row in document["nulls"]}
    assert checks["arc-c"] == pytest.approx(-0.7, abs=0.06)
    assert checks["cqa"] == pytest.approx(-0.7, abs=0.06)


def test_the_page_cites_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    """Paper, n, and the clock beside the score."""
    out = rbridge(capsys, "paper").out
    assert "arXiv 2509.21013" in out
    assert "15 checkpoints" in out
    assert "ln_tokens" in out
    assert "733.4x" in out
