"""Load the tokenizer of a sweep's next checkpoint only where its files are other ones than before."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rbridge.scoring.checkpoints import LABELS_FILE, Checkpoint, load_tokenizer
from rbridge.scoring.hub import INDEX
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.store.files import sha256_file, sha256_json

# Tokenizers that are kept, as many as there are ``encodings`` of.
KEPT = 2
# What no tokenizer reads, and what differs between the checkpoints of one run. Any other file counts, so that one
# that is not known here costs a load and never gives another checkpoint's tokenizer.
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx")
_OTHER = (INDEX, "generation_config.json", "trainer_state.json", LABELS_FILE, "README.md", ".gitattributes")
# Beyond this, reading the files to tell them apart takes longer than it saves.
_MOST_BYTES = 1 << 26


@dataclass(frozen=True)
class Tokenizers:
    """The tokenizers of the latest checkpoints, by the content of their files."""

    _latest: dict[str, ProxyTokenizer] = field(default_factory=dict, init=False)

    def load(self, checkpoint: Checkpoint) -> ProxyTokenizer:
        """The checkpoint's own tokenizer.

        Raises:
            InputError: it has none, or none that is exact.
        """
        content = _content(checkpoint)
        if content is None:
            return load_tokenizer(checkpoint)
        found = self._latest.pop(content, None)
        if found is None:
            found = load_tokenizer(checkpoint)
            if _content(checkpoint) != content:  # written while it was read
                return found
        self._latest[content] = found
        while len(self._latest) > KEPT:
            self._latest.pop(next(iter(self._latest)), None)
        return found


def _content(checkpoint: Checkpoint) -> str | None:
    """Hash of all that a tokenizer could be made from; None where that is not at hand, or too much."""
    if checkpoint.local is None or checkpoint.gguf_file is not None:
        return None
    try:
        files = [file for file in sorted(checkpoint.local.iterdir()) if file.is_file() and _counts(file)]
        if sum(file.stat().st_size for file in files) > _MOST_BYTES:
            return None
        return sha256_json({file.name: sha256_file(file) for file in files})
    except OSError:  # it vanishes just now: loading says so
        return None


def _counts(file: Path) -> bool:
    return file.suffix not in _WEIGHTS and file.name not in _OTHER
