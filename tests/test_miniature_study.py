"""The full miniature's plan, its tables and what they say, on models of a second each."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch

from rbridge.answers.rank import RankQuestion, rank_groups
from rbridge.cli import run
from rbridge.demo.page import write_page
from rbridge.miniature.confidence import confidence, confidence_document
from rbridge.miniature.families import ALL, DOSE, FAMILIES, FEW, HELD_BACK, family_of
from rbridge.miniature.full import LADDER, SEEDS, TARGET, study_jobs
from rbridge.miniature.jobs import Trained
from rbridge.miniature.results import equal_dose, write_results
from rbridge.miniature.study import Plan, Study, read_study
from rbridge.miniature.train import run_job
from rbridge.miniature.verdict import document, saved, verdict
from rbridge.proxies.ladder import Size
from rbridge.records import Labels

DATA = Path(__file__).parents[1] / "src/rbridge/miniature/data/full"
ACCURACIES = {
    "std90": 0.9, "wrong15": 0.8, "wrong50": 0.3, "other-words": 0.7, "bare-steps": 0.6, "equations": 0.5,
    "shuffled": 0.1,
}  # fmt: skip
TINY = Plan(
    recipes=tuple(recipe for recipe in ALL if recipe.name in ACCURACIES),
    seeds=(0, 1),
    ladder=(Size("tiny", 8, 1, 2_000, 1e-2),),
    num_traces=3,
)


def as_if_trained(recipe: str, seed: int) -> Trained:
    """A target of a made-up accuracy, so that tables and confidence have something to be held against."""
    labels = Labels(recipe=recipe, seed=seed, size=TARGET.name, parameters=1, tokens=1, flops=6.0)
    return Trained(Path("nowhere"), labels, 400, round(400 * ACCURACIES[recipe]) + seed)


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    """A study of seven recipes on three of the recorded traces, two proxies each; its tables beside it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("study")
    lines = (DATA / "traces.jsonl").read_text().splitlines(keepends=True)[:3]
    (out / "traces.jsonl").write_text("".join(lines))
    jobs = [replace(job, num_problems=2) for job in TINY.jobs if job.size.name == "tiny"]
    models = [run_job(job, out / "proxies" / job.name) for job in jobs]
    targets = [as_if_trained(recipe, seed) for recipe in ACCURACIES for seed in (0, 1)]
    study = read_study(out, TINY, [*models, *targets], progress=lambda _: None)
    write_results(study, out / "results")
    torch.set_num_threads(threads)
    return out / "results", study


def test_the_plan_is_what_was_written_down():
    """42 recipes in ten families, all but the lesser doses of equal dose, four families held back, three seeds."""
    assert (len(ALL), len(FAMILIES), len({recipe.name for recipe in ALL})) == (42, 10, 42)
    assert [recipe.name for recipe in ALL if not equal_dose(recipe)] == ["std75", "std60", "std40", "std20"]
    assert sum(len(FAMILIES[name]) for name in HELD_BACK) == 16
    assert len(FEW) == 14
    assert {family_of(recipe.name) for recipe in FEW} == set(FAMILIES)
    jobs = study_jobs(ALL)
    assert len(jobs) == len({job.name for job in jobs}) == 42 * len(SEEDS) * (len(LADDER) + 1)
    assert sum(part.share for part in FAMILIES["correctness"][0].parts) == DOSE


def test_every_proxy_has_a_row_with_every_metric(studied: tuple[Path, Study]):
    """A row a proxy, none of its figures missing, the recipe's target and its error beside them."""
    folder, _ = studied
    table = pl.read_csv(folder / "proxies.csv")
    assert len(table) == len(ACCURACIES) * 2
    assert table.null_count().sum_horizontal().item() == 0
    assert set(table.filter(pl.col("held_back") == "yes")["family"]) == {"format", "faithfulness"}
    for row in table.to_dicts():
        assert row["accuracy"] == pytest.approx(ACCURACIES[row["recipe"]] + 0.5 / 400)


def test_the_verdict_is_what_rank_says(studied: tuple[Path, Study]):
    """A line's figures are those that ``rbridge rank`` gives of the same table."""
    folder, _ = studied
    lines = verdict(folder, metrics=("question_margin", "trace_like_share"))
    asked = RankQuestion(
        source=folder / "proxies.csv", proxy="question_margin", target="accuracy", by=("size",)
    )
    (group,) = rank_groups(asked)
    (line,) = [line for line in lines if (line.part, line.metric) == ("all recipes", "question_margin")]
    assert group.agreement is not None
    assert line.accuracy == group.agreement.decision_accuracy
    assert (line.num_pairs, line.num_resolved, line.num_recipes, line.num_seeds) == (21, 21, 7, 2)
    families = {"family: correctness", "family: style"}
    assert {line.part for line in lines} == {
        "all recipes",
        "equal dose",
        "held back",
        "development",
        *families,
    }
    written = document(lines, saved(folder))
    assert len(written["lines"]) == 6 * 3
    assert json.loads(json.dumps(written, allow_nan=False)) == json.loads(json.dumps(written))


def test_confidence_counts_pairs_by_both_rules(studied: tuple[Path, Study]):
    """Both rules speak of the development and the held-back recipes; the latter are learnt from the former alone."""
    folder, study = studied
    rows = confidence(study.plan.recipes, folder)
    rules = ("seeds", "other recipes' targets")
    assert {(row.part, row.rule) for row in rows} == {
        (part, rule) for part in ("development", "held back", "all recipes") for rule in rules
    }
    by_seeds = {row.part: row.calls.num_held for row in rows if row.rule == rules[0]}
    assert by_seeds == {"development": 10, "held back": 1, "all recipes": 21}
    for row in rows:
        assert 0 <= row.calls.num_right <= row.calls.num_held_called <= row.calls.num_held
        assert (row.learnt is None) == (row.rule == rules[0])
        assert row.learnt is None or row.learnt.num_targets == (7 if row.part == "all recipes" else 5)
    assert "NaN" not in str(confidence_document(rows))


def test_the_page_holds_every_recipe(studied: tuple[Path, Study]):
    """The page of the largest proxies names the recipes, what they are made of, and the n-gram null."""
    folder, study = studied
    sure = confidence(study.plan.recipes, folder)
    text = write_page(study, folder, sure).read_text()
    assert text.count("resolved ones") == len(sure)
    assert all(recipe in text for recipe in ACCURACIES)
    assert "90 % reasoning: steps in random order" in text
    assert "null_bits_per_byte" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seeds", "0,x"], "--seeds 0,x: expected different whole numbers"),
        (["--seeds", "1,1"], "--seeds 1,1: expected different whole numbers"),
        (["--so-far"], "no whole round of proxies and targets is finished (0 of 10 rounds are)"),
        (["--full", "--so-far"], "(0 of 15 rounds are)"),
        (["--recipes", "none.json"], "none.json: no such file"),
    ],
)
def test_what_cannot_be_done_is_told(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """One line on stderr and status 1, before anything is trained."""
    assert run(["miniature", "-o", str(tmp_path), *words]) == 1
    assert told in capsys.readouterr().err.replace("\n", " ")
    assert not list(tmp_path.iterdir())


def test_a_fresh_proxy_agrees_with_the_recorded_one(tmp_path: Path):
    """The cheapest recorded proxy, trained and scored anew, has the recorded figures.

    On the machine of the record they are equal to the bit; another processor or Python (whose library's source
    text is a tenth of the recipe) may move them, by less than a tenth of what they are.
    """
    recorded = pl.read_csv(DATA / "proxies.csv").filter(
        (pl.col("recipe") == "std90") & (pl.col("size") == LADDER[0].name) & (pl.col("seed") == 0)
    )
    (expected,) = recorded.to_dicts()
    plan = Plan(recipes=FAMILIES["dose"][:1])
    (job,) = [job for job in plan.jobs if job.size == LADDER[0] and job.seed == 0]
    shutil.copy(DATA / "traces.jsonl", tmp_path)
    model = run_job(job, tmp_path / "proxies" / job.name)
    write_results(read_study(tmp_path, plan, [model], progress=lambda _: None), tmp_path / "results")
    (found,) = pl.read_csv(tmp_path / "results" / "proxies.csv").to_dicts()
    for name in ("rbridge", "rbridge_shuffled", "trace_nll", "gold_label_nll", "null_bits_per_byte"):
        assert found[name] == pytest.approx(expected[name], rel=0.1), name
    assert found["trace_like_share"] == pytest.approx(expected["trace_like_share"], rel=0.02)
    assert (found["parameters"], found["family"]) == (expected["parameters"], "dose")
    assert abs(found["own_accuracy"] - expected["own_accuracy"]) <= 0.1
