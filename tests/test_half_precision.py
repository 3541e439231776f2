"""bfloat16 says what it costs, and a ranking that it cannot decide says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rbridge.store.runs import read_runs
from tests.checkpoints import build
from tests.commands import rbridge


def test_the_error_is_measured_stored_and_set_against_the_smallest_gap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stored errors are those of a float32 run; two recipes with equal weights are closer than the error."""
    rows = [
        {"benchmark": "m", "problem_id": str(i), "voice": "v", "question": f"{i}?", "reasoning": text}
        for i, text in enumerate(["So 2 + 3 = 5.", "First, we add. Then we multiply.", "An apple costs 2."])
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    rbridge(capsys, "traces", "import", tmp_path / "t.jsonl", "-o", tmp_path / "bundle")
    folders = [build("llama3", tmp_path / name) for name in ("a", "b")]
    asked = [*folders, "--traces", tmp_path / "bundle", "--shots", 0, "--json"]
    half = rbridge(capsys, "score", *asked, "-o", tmp_path / "half", "--dtype", "bfloat16")
    assert half.status == 0
    assert "bfloat16 against float32 on 3 traces" in half.err
    rbridge(capsys, "score", *asked, "-o", tmp_path / "full")
    halves, fulls = read_runs(tmp_path / "half"), read_runs(tmp_path / "full")
    for one, other in zip(halves, fulls, strict=True):
        moved = [
            abs(ours.tokens.nll.mean() - theirs.tokens.nll.mean())
            for ours, theirs in zip(one.scored(), other.scored(), strict=True)
        ]
        assert one.manifest.half_error.num_traces == 3
        assert one.manifest.half_error.trace_max == pytest.approx(max(moved), abs=2e-5)
        assert one.manifest.half_error.trace_mean == pytest.approx(sum(moved) / 3, abs=2e-5)
        assert one.manifest.half_error.token_rms > 1e-4
        assert other.manifest.half_error is None
        assert other.manifest.ways["head"] == "tiles"
    ask = ["--proxy", "trace_nll", "--by", "benchmark"]
    noted = rbridge(capsys, "rank", tmp_path / "half", *ask)
    assert "score in float32 to tell them apart" in noted.out + noted.err
    silent = rbridge(capsys, "rank", tmp_path / "full", *ask)
    assert "float32" not in silent.out + silent.err
