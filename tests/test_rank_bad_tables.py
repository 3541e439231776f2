"""Tables that rbridge rank must refuse, or rank without losing a row silently; figures that stay readable."""

from __future__ import annotations

from pathlib import Path

import pytest

from rbridge.cli.output import figure
from tests.commands import rbridge


def _table(folder: Path, text: str) -> Path:
    file = folder / "obs.csv"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe,v,v\na,1,2\nb,2,1\n", "2 columns are called 'v'"),
        ("recipe,v\na,1e300\nb,2e300\n", "largest value is 2e+300 in size"),
        ("recipe,seed,v\na,1,1e300\na,2,2e300\nb,1,3e300\nb,2,4e300\n", "largest value is 4e+300"),
        ("recipe,v\na,1e-300\nb,2e-300\n", "largest value is 2e-300 in size"),
    ],
)
def test_what_cannot_be_ranked_is_one_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not the first of two columns, not a warning of numpy's, not a difference that underflows."""
    result = rbridge(capsys, "rank", _table(tmp_path, text), "--proxy", "v", "--lower-is-better", "--by", "")
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert message in result.err


def test_a_group_of_empty_cells_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two columns to group by, with a space between them; the group that is lost stands in the notes."""
    file = _table(tmp_path, "recipe,benchmark,size,v\na,x,1,1\nb,x,1,2\na,y,1,\nb,y,1,\n")
    result = rbridge(
        capsys, "rank", file, "--proxy", "v", "--lower-is-better", "--by", "benchmark,size", "--json"
    )
    assert result.status == 0, result.err
    (group,) = result.document["groups"]
    assert group["group"] == {"benchmark": "x", "size": "1"}
    assert any(
        note.startswith("benchmark y, size 1 is not ranked: each of its 2 rows") for note in group["notes"]
    )


def test_tiny_scales_tell_apart_what_large_ones_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The order of noisy recipes does not depend on the unit: seeds overlap, so both ranks are possible."""
    for unit in ("", "e-20"):
        rows = "".join(f"{recipe},{seed},{value}{unit}\n" for recipe, seed, value in
                       [("a", 1, 1.0), ("a", 2, 3.0), ("b", 1, 1.2), ("b", 2, 3.2)])  # fmt: skip
        result = rbridge(
            capsys, "rank", _table(tmp_path, f"recipe,seed,v\n{rows}"), "--proxy", "v", "--lower-is-better",
            "--by", "", "--json",
        )  # fmt: skip
        assert [row["rank_set"] for row in result.document["groups"][0]["order"]] == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0.0000"),
        (0.61234, "0.6123"),
        (-2.5, "-2.5000"),
        (1e-300, "1e-300"),
        (2e300, "2e+300"),
    ],
)
def test_a_cell_is_short_and_never_a_false_zero(value: float | None, shown: str) -> None:
    """Four decimals where they say something."""
    assert figure(value) == shown
