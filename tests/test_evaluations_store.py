"""Evaluations on disk while two processes make the same one."""

from __future__ import annotations

from pathlib import Path

import pytest

from rbridge.store import evaluations
from rbridge.store.evaluations import MANIFEST, EvaluationStore, Reply

KEY = "0123456789abcdef" * 4
REPLY = Reply("1", 0, 5, "Four.", "stop")


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of parts is gone when a part is to be written."""

    def write(path: Path, _: bytes) -> None:
        path.parent.rmdir()
        raise FileNotFoundError(path)

    monkeypatch.setattr(evaluations, "write_bytes", write)


@pytest.mark.usefixtures("dropped")
def test_who_comes_second_goes_on(tmp_path: Path) -> None:
    """The other process has finished the evaluation and dropped its parts: nothing is lost."""
    store = EvaluationStore(tmp_path)
    folder = store.folder(KEY, "proxy")
    folder.mkdir()
    (folder / MANIFEST).touch()
    store.keep(KEY, [REPLY])
    assert store.kept(KEY) == ()


@pytest.mark.usefixtures("dropped")
def test_parts_that_vanish_are_no_success(tmp_path: Path) -> None:
    """Nobody has finished it, so replies that were paid for would be lost in silence."""
    with pytest.raises(FileNotFoundError):
        EvaluationStore(tmp_path).keep(KEY, [REPLY])
