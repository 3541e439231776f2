"""Hashes of what a study reads: its sources' files, and the checkpoints that recipes start from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rbridge.errors import RBridgeError
from rbridge.recipes.documents import source_digest, source_files
from rbridge.recipes.spec import Source
from rbridge.store.files import sha256_file, sha256_json, write_json
from rbridge.study.base import base_files


class Digests:
    """Hashes of files, kept in one of their own: what has neither another size nor another time is not read again.

    Args:
        file: where they are kept, once its folder is there.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept: dict[str, str] = json.loads(file.read_bytes()) if file.is_file() else {}
        self._fresh = dict(self._kept)

    def of_source(self, name: str, source: Source) -> str:
        """A source's hash, or why it has none. A hub dataset is asked for its commit once."""
        try:
            files = [] if source.kind == "hub" else source_files(name, source)
            return self._of(source.model_dump(mode="json"), files, lambda: source_digest(name, source))
        except RBridgeError as error:
            return f"none: {error}"

    def of_base(self, name: str) -> str:
        """The hash of a base checkpoint's config and weights; of one at a hub, its name, which is taken at its word.

        Raises:
            InputError: the folder holds no config or no weights.
        """
        folder = Path(name)
        if not folder.is_dir():
            return name
        files = base_files(folder)
        return self._of("base", files, lambda: sha256_json({file.name: sha256_file(file) for file in files}))

    def keep(self) -> None:
        """Write what was found anew; a study that was never run has no folder, and keeps nothing."""
        if self._fresh != self._kept and self._file.parent.is_dir():
            write_json(self._file, self._fresh)

    def _of(self, settings: object, files: Sequence[Path], digest: Callable[[], str]) -> str:
        stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        signature = sha256_json([settings, stats])
        if signature not in self._fresh:
            self._fresh[signature] = digest()
        return self._fresh[signature]
