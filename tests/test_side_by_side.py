"""Several weight models and several voices in one bundle: stored once, chosen by name, never mixed unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rbridge.align import add_weights, whose_weights
from rbridge.cli import run
from rbridge.errors import InputError
from rbridge.records import Pieces, Trace, TraceKey, Weights
from rbridge.store.bundles import content_sha256, read_bundle, write_bundle
from rbridge.store.runs import read_runs
from rbridge.store.views import View
from tests.checkpoints import build
from tests.commands import rbridge

TEXTS = {"1": "So 2 + 3 = 5 é.", "2": "Then 7 times 6 is 42."}


def _line(
    problem: str, voice: str, *, logprob: float | None = -0.1, text: str | None = None
) -> dict[str, Any]:
    reasoning = text or TEXTS[problem]
    half = len(reasoning.encode()) // 2
    line: dict[str, Any] = {"benchmark": "mine", "problem_id": problem, "voice": voice, "question": f"{problem}?",
                            "reasoning": reasoning}  # fmt: skip
    if logprob is not None:
        parts = (reasoning.encode()[:half], reasoning.encode()[half:])
        line["pieces"] = [{"bytes": list(part), "logprob": logprob * (i + 1)} for i, part in enumerate(parts)]
    return line


def _import(folder: Path, name: str, *lines: dict[str, Any], more: tuple[str, ...] = ()) -> Path:
    (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert run(["traces", "import", str(folder / f"{name}.jsonl"), "-o", str(folder / name), *more]) == 0
    return folder / name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny checkpoints; a bundle without weights that both have weighed, one after the other."""
    folder = tmp_path_factory.mktemp("side")
    build("gpt2", folder / "gpt2")
    build("llama3", folder / "llama")
    plain = _import(folder, "plain", _line("1", "claude", logprob=None), _line("2", "claude", logprob=None))
    for source, model, out in ((plain, "gpt2", "one"), (folder / "one", "llama", "two")):
        arguments = [
            "traces",
            "weigh",
            source,
            "--model",
            folder / model,
            "--model-name",
            model,
            "-o",
            folder / out,
        ]
        assert run([str(argument) for argument in arguments]) == 0
    assert run(["score", str(folder / "gpt2"), "--traces", str(folder / "two"), "--shots", "0", "-o",
                str(folder / "runs"), "--weights", "gpt2"]) == 0  # fmt: skip
    return folder


def test_a_bundle_says_which_models_weighed_it(place: Path) -> None:
    """Both by name, with their hashes; the first weights are untouched by the second."""
    one, two = read_bundle(place / "one"), read_bundle(place / "two")
    assert two.manifest.weight_sources == {"gpt2": 2, "llama": 2}
    assert [model.name for model in two.manifest.weight_models] == ["gpt2", "llama"]
    assert len({model.sha256 for model in two.manifest.weight_models}) == 2
    for before, after in zip(one.traces, two.traces, strict=True):
        assert before.pieces is not None
        assert after.pieces is not None
        assert after.pieces.logprobs.tolist() == before.pieces.logprobs.tolist()
        assert [other.source for other in after.other_weights] == ["llama"]


def test_a_model_weighs_its_own_traces_with_its_own_losses(place: Path) -> None:
    """The run's stored weight of the same model is exp(-loss) of its own tokens, and another's is not."""
    (found,) = read_runs(place / "runs", View(weights="gpt2"))
    (other,) = read_runs(place / "runs", View(weights="llama"))
    for one, two in zip(found.scored(), other.scored(), strict=True):
        assert one.tokens.weight is not None
        assert two.tokens.weight is not None
        assert one.tokens.weight == pytest.approx(np.exp(-one.tokens.nll), rel=1e-5)
        assert one.tokens.nll.tolist() == two.tokens.nll.tolist()
        assert one.tokens.weight.tolist() != two.tokens.weight.tolist()


def test_two_weight_models_are_never_mixed_unasked(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command names the choices; a name that is none is refused; nothing is scored before that."""
    arguments = ("score", place / "gpt2", "--traces", place / "two", "--shots", 0, "-o", place / "none")
    for command in (
        arguments,
        ("show", place / "runs"),
        ("rank", place / "runs"),
        ("report", place / "runs"),
    ):
        refused = rbridge(capsys, *command)
        assert refused.status == 1
        assert "weights of gpt2, llama side by side; say which are meant: --weights NAME" in refused.err
    assert not (place / "none").exists()
    wrong = rbridge(capsys, "show", place / "runs", "--weights", "self")
    assert "no weights of 'self'; it has those of gpt2, llama" in wrong.err


def test_one_run_serves_every_weight_model(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shown by name from the same losses; each table and page says whose they are."""
    rows = {}
    for name in ("gpt2", "llama"):
        (row,) = rbridge(capsys, "show", place / "runs", "--weights", name, "--json").document["runs"]
        assert row["weight_source"] == name
        rows[name] = row["metrics"]
        assert rbridge(capsys, "report", place / "runs", "--weights", name, "-o", tmp_path / name).status == 0
        assert f"{name}'s, not the writer's own" in (tmp_path / name).read_text().replace("&#39;", "'")
    assert rows["gpt2"]["trace_nll"] == rows["llama"]["trace_nll"]
    assert rows["gpt2"]["rbridge"] != rows["llama"]["rbridge"]
    again = rbridge(capsys, "score", place / "gpt2", "--traces", place / "two", "--shots", 0, "-o", place / "runs",
                    "--weights", "llama", "--json")  # fmt: skip
    assert "scored already" in again.err
    assert again.document["runs"][0]["metrics"] == rows["llama"]
    for arguments in (("--items",), ("--trace", "1")):
        shown = rbridge(capsys, "show", place / "runs", "--weights", "llama", *arguments)
        assert "llama" in shown.out


def test_a_weight_model_needs_a_name_of_its_own(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the writer's, nor one that is taken."""
    for name, message in (("self", "means something else"), ("gpt2", "has weights of 'gpt2' already")):
        refused = rbridge(capsys, "traces", "weigh", place / "one", "--model", place / "gpt2", "--model-name", name,
                          "-o", place / "x")  # fmt: skip
        assert (refused.status, message in refused.err) == (1, True)


def test_the_writers_own_weights_are_the_default(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside any number of others, and only they are called the writer's own."""
    own = _import(tmp_path, "own", _line("1", "gpt-4o"), _line("2", "gpt-4o"))
    for model in ("gpt2", "llama"):
        weighed = [
            "traces",
            "weigh",
            own,
            "--model",
            place / model,
            "--model-name",
            model,
            "-o",
            tmp_path / model,
        ]
        assert rbridge(capsys, *weighed).status == 0
    merged = rbridge(capsys, "traces", "merge", tmp_path / "llama", tmp_path / "gpt2", "-o", tmp_path / "all")
    assert merged.status == 0, merged.err
    assert read_bundle(tmp_path / "all").manifest.weight_sources == {"self": 2, "llama": 2, "gpt2": 2}
    scored = rbridge(capsys, "score", place / "gpt2", "--traces", tmp_path / "all", "--shots", 0, "-o",
                     tmp_path / "runs", "--json")  # fmt: skip
    assert scored.document["runs"][0]["weight_source"] == "self"
    shown = rbridge(capsys, "traces", "show", tmp_path / "all", "1")
    heads = [line for line in shown.out.splitlines() if line.startswith("weights are")]
    assert heads == ["weights are the writer's own:", "weights are llama's, not the writer's own:",
                     "weights are gpt2's, not the writer's own:"]  # fmt: skip


def test_exchange_carries_all_weights(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Out and in again: the same content hash."""
    exported = rbridge(capsys, "traces", "export", place / "two", "-o", tmp_path / "t.jsonl")
    assert exported.status == 0
    assert run(["traces", "import", str(tmp_path / "t.jsonl"), "-o", str(tmp_path / "b")]) == 0
    assert (
        read_bundle(tmp_path / "b").manifest.content_sha256
        == read_bundle(place / "two").manifest.content_sha256
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([{"source": "self", "pieces": []}], "the writer's own stand under 'pieces'"),
        (
            [{"source": "Q", "pieces": [{"text": "So", "logprob": -1}]}],
            "pieces stop spelling the text at byte 2",
        ),
        ([{"source": "Q"}], "weights.0.pieces: Field required"),
        (
            [{"source": "Q", "pieces": [{"text": "x", "logprob": 1}]}],
            r"weights[0].pieces[0]: logprob 1.0 is above 0",
        ),
    ],
)
def test_bad_further_weights_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: list[Any], message: str
) -> None:
    """As strictly as the first."""
    (tmp_path / "t.jsonl").write_text(json.dumps({**_line("1", "v"), "weights": weights}))
    refused = rbridge(capsys, "traces", "import", tmp_path / "t.jsonl", "-o", tmp_path / "b")
    assert (refused.status, message in refused.err) == (1, True), refused.err


def test_bundles_of_format_one_keep_their_hash() -> None:
    """Runs that were scored on them are found again: no further weights, nothing more hashed."""
    bundle = read_bundle(Path(__file__).parent.parent / "src/rbridge/traces/starter")
    assert bundle.manifest.format_version == 1
    assert content_sha256(bundle.traces) == bundle.manifest.content_sha256


def test_a_merge_refuses_what_contradicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two texts under one key, two weights under one name, two licences of one voice."""
    first = _import(tmp_path, "a", _line("1", "v"), more=("--licence", "MIT"))
    cases = {
        "another text than in the bundles before": (_line("1", "v", text="Other."), ()),
        "other weights of 'self'": (_line("1", "v", logprob=-0.2), ()),
        "differ in the licence of voice 'v'": (_line("2", "v"), ("--licence", "CC0")),
    }
    for number, (message, (line, more)) in enumerate(cases.items()):
        other = _import(tmp_path, f"o{number}", line, more=more)
        refused = rbridge(capsys, "traces", "merge", first, other, "-o", tmp_path / "m")
        assert (refused.status, message in refused.err) == (1, True), refused.err


def test_weights_of_one_name_are_added_once() -> None:
    """A second model of that name would stand in silence for the first."""
    text = "So."
    pieces = Pieces((b"So.",), np.array([-1.0]))
    trace = Trace(TraceKey("b", "1", "v"), text, question="q", pieces=pieces, weight_source="Q")
    with pytest.raises(InputError, match="has weights of 'Q' already"):
        add_weights(trace, Weights("Q", pieces))


def test_it_is_said_of_marks_that_nobody_was_sure() -> None:
    """0/1 marks are no probabilities."""
    assert whose_weights(["marks", "none"]) == (
        "weights are 0/1 marks on the text, nobody's probabilities; some traces have no weights"
    )


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory, place: Path) -> Path:
    """Two voices under two licences; problem 2 has the second voice alone; two checkpoints' runs."""
    folder = tmp_path_factory.mktemp("voices")
    short = _import(folder, "short", _line("1", "short"), more=("--licence", "CC BY 4.0", "--use", "any"))
    long = _import(folder, "long", _line("1", "long", text=TEXTS["1"] * 3), _line("2", "long"),
                   more=("--licence", "research only"))  # fmt: skip
    assert run(["traces", "merge", str(short), str(long), "-o", str(folder / "both")]) == 0
    for model in ("gpt2", "llama"):
        assert run(["score", str(place / model), "--traces", str(folder / "both"), "--shots", "0", "-o",
                    str(folder / "runs")]) == 0  # fmt: skip
    return folder


def test_rank_averages_the_voices_of_a_problem(voices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each problem counts once whatever its voices; by hand from the items; and the table says so."""
    items = rbridge(capsys, "show", voices / "runs", "--items", "--json").lines
    ranked = rbridge(capsys, "rank", voices / "runs", "--proxy", "rbridge_per_byte", "--json").document
    (group,) = ranked["groups"]
    assert group["n_items"] == 2
    for row in group["order"]:
        of = {(item["problem_id"], item["voice"]): item["rbridge_per_byte"] for item in items
              if item["checkpoint"] == row["recipe"]}  # fmt: skip
        expected = ((of["1", "short"] + of["1", "long"]) / 2 + of["2", "long"]) / 2
        assert row["value"] == pytest.approx(expected)
    (note,) = [note for note in group["notes"] if note.startswith("voices")]
    assert "voices long, short are averaged within each problem; 1 of 2 problems lack one of them" in note
    assert "weights are the writer's own" in group["notes"]


def test_rank_by_one_voice(voices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its traces alone; a voice that is none is refused; a CSV has no voices."""
    items = rbridge(capsys, "show", voices / "runs", "--items", "--voice", "short", "--json").lines
    assert {item["voice"] for item in items} == {"short"}
    command = ("rank", voices / "runs", "--proxy", "rbridge_per_byte", "--voice")
    (group,) = rbridge(capsys, *command, "short", "--json").document["groups"]
    assert {row["recipe"]: row["value"] for row in group["order"]} == pytest.approx(
        {item["checkpoint"]: item["rbridge_per_byte"] for item in items}
    )
    assert "no trace of voice 'nobody'" in rbridge(capsys, *command, "nobody").err
    (voices / "o.csv").write_text("recipe,x\na,1\nb,2\n")
    refused = rbridge(
        capsys, "rank", voices / "o.csv", "--proxy", "x", "--lower-is-better", "--voice", "short"
    )
    assert "go with score runs" in refused.err


def test_a_voice_that_one_run_lacks_is_left_out_for_all(
    voices: Path, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never one run's mean over two voices against another's over one."""
    for model, more in (("gpt2", ()), ("llama", ("--voice", "long"))):
        scored = rbridge(capsys, "score", place / model, "--traces", voices / "both", "--shots", 0, "-o",
                         tmp_path / "runs", *more)  # fmt: skip
        assert scored.status == 0, scored.err
    both = rbridge(capsys, "rank", tmp_path / "runs", "--proxy", "rbridge_per_byte", "--json").document
    long = rbridge(
        capsys, "rank", voices / "runs", "--proxy", "rbridge_per_byte", "--voice", "long", "--json"
    ).document
    assert both["groups"][0]["num_dropped"] == 1
    values = [[row["value"] for row in found["groups"][0]["order"]] for found in (both, long)]
    assert values[0] == pytest.approx(values[1])


def test_licences_filter_score_export_and_merge(
    voices: Path, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the bundle states them, whatever their capitals; the terms go along."""
    exported = rbridge(capsys, "traces", "export", voices / "both", "--only-licence", "cc by 4.0", "-o", "-")
    assert [line["voice"] for line in exported.lines] == ["short"]
    scored = rbridge(capsys, "score", place / "gpt2", "--traces", voices / "both", "--shots", 0, "-o", tmp_path / "r",
                     "--only-licence", "CC BY 4.0", "--json")  # fmt: skip
    assert [row["voice"] for row in scored.document["runs"]] == ["short"]
    merged = rbridge(capsys, "traces", "merge", voices / "both", voices / "long", "--only-licence", "CC BY 4.0",
                     "-o", tmp_path / "m")  # fmt: skip
    assert merged.status == 0, merged.err
    manifest = read_bundle(tmp_path / "m").manifest
    assert manifest.voices == {"short": 1}
    assert manifest.terms["short"].model_dump() == {"licence": "CC BY 4.0", "use": "any"}
    refused = rbridge(capsys, "traces", "export", voices / "both", "--only-licence", "GPL", "-o", "-")
    assert "no trace under GPL; its licences are short: CC BY 4.0, long: research only" in refused.err


def test_every_voices_licence_is_shown(
    voices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the page and in the check, where a bundle has several."""
    page = tmp_path / "p.html"
    done = rbridge(capsys, "report", voices / "runs", "--traces", voices / "both", "--proxy", "rbridge_per_byte",
                   "-o", page)  # fmt: skip
    assert done.status == 0, done.err
    assert "short: CC BY 4.0; long: research only" in page.read_text()
    checked = rbridge(capsys, "traces", "check", voices / "both").out
    assert "voice short: 1 traces, licence CC BY 4.0, use any" in checked
    assert "voice long: 2 traces, licence research only, use not stated" in checked


def test_the_shipped_traces_pass_by_the_name_of_their_licence() -> None:
    """What is said behind the name is no part of it; another licence's name is."""
    bundle = read_bundle(Path(__file__).parent.parent / "src/rbridge/traces/starter")
    assert bundle.chosen_voices([], ["apache-2.0"]) == ("claude",)
    assert bundle.voices_meant([], ["Apache", "questions are not in the bundle"]) == ()


def test_a_voice_without_a_licence_passes_no_filter(tmp_path: Path) -> None:
    """Nothing stated is nothing allowed."""
    trace = Trace(TraceKey("b", "1", "v"), "So.", question="q")
    write_bundle(tmp_path / "b", [trace])
    with pytest.raises(InputError, match="its licences are v: not stated"):
        read_bundle(tmp_path / "b").chosen_voices([], ["CC0"])
