"""A model hub's revisions: listed, looked up, fetched, identified before they are fetched, deleted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub import HfApi, scan_cache_dir, snapshot_download, try_to_load_from_cache
from huggingface_hub.hf_api import RepoFile

from rbridge.errors import InputError
from rbridge.store.files import sha256_file, sha256_json

# Config and tokenizer; a few megabytes, and the same blobs for all revisions.
_SMALL = ["*.json", "*.model", "*.txt", "*.jinja"]
_ALL = [*_SMALL, "*.safetensors"]
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class HubSnapshot:
    """One revision in the hub's cache on this machine.

    Attributes:
        name: ``owner/name``.
        folder: its files; the folder is called after the commit.
        was_there: its weights were in the cache before we came, so they are somebody else's.
    """

    name: str
    folder: Path
    was_there: bool

    def delete(self) -> None:
        """Drop the revision from the cache, unless it was there before."""
        if not self.was_there:
            scan_cache_dir().delete_revisions(self.folder.name).execute()


def matching_revisions(hub_name: str, pattern: str) -> list[str]:
    """Branches and tags of a repository that match a glob, unsorted.

    Raises:
        InputError: none does, or the hub does not answer.
    """
    with hub_errors(hub_name):
        refs = HfApi().list_repo_refs(hub_name)
    names = [ref.name for ref in [*refs.branches, *refs.tags]]
    found = [name for name in dict.fromkeys(names) if fnmatchcase(name, pattern)]
    if not found:
        raise InputError(
            f"{hub_name}@{pattern}: none of its {len(names)} revisions matches; see them on the hub"
        )
    return found


def look_up(name: str, revision: str | None) -> HubSnapshot:
    """Fetch the small files of a revision: config and tokenizer.

    Raises:
        InputError: the hub does not give it.
    """
    cached = try_to_load_from_cache(name, "config.json", revision=revision)
    was_there = isinstance(cached, str) and any(Path(cached).parent.glob("*.safetensors"))
    return HubSnapshot(name, _download(name, revision, _SMALL), was_there)


def fetch(snapshot: HubSnapshot) -> HubSnapshot:
    """Fetch the weights of a revision that was looked up.

    Raises:
        InputError: the hub does not give it, or the disk is full.
    """
    _download(snapshot.name, snapshot.folder.name, _ALL)
    return snapshot


def fetch_all(name: str, revision: str | None) -> Path:
    """Fetch a revision and leave it in the cache.

    Raises:
        InputError: the hub does not give it.
    """
    return _download(name, revision, _ALL)


def _download(name: str, revision: str | None, patterns: Sequence[str]) -> Path:
    with hub_errors(name if revision is None else f"{name}@{revision}"):
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))


def hub_weights_sha256(snapshot: HubSnapshot) -> str | None:
    """The hash that the weights will have once they are fetched, from what the hub says of its files.

    None where it does not say (no LFS entries, offline): then they are fetched to be hashed.
    """
    folder = snapshot.folder
    small = [name for name in ("config.json", INDEX) if (folder / name).is_file()]
    try:
        tree = HfApi().list_repo_tree(snapshot.name, revision=folder.name)
        large = {file.path: file.lfs.sha256 for file in tree if isinstance(file, RepoFile) and file.lfs}
    except Exception as error:
        if not _is_hub_error(error):
            raise
        return None
    if "config.json" not in small:
        return None
    names = index_shards(folder / INDEX) if INDEX in small else ["model.safetensors"]
    if any(name not in large for name in names):
        return None
    hashes = {name: sha256_file(folder / name) for name in small} | {name: large[name] for name in names}
    return sha256_json(hashes)


def index_shards(index: Path) -> list[str]:
    """Names of the files that a safetensors index lists, each once, sorted.

    Raises:
        InputError: it is no such index.
    """
    try:
        return sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{index}: damaged; fetch the checkpoint again") from None


@contextlib.contextmanager
def hub_errors(name: str) -> Generator[None]:
    """Errors of the hub client as one line each."""
    try:
        yield
    except Exception as error:
        if not _is_hub_error(error):
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
        raise InputError(
            f"{name}: not a local folder, and the hub did not give it ({type(error).__name__}: {lines[0][:200]}); "
            "check the name and revision, the network, and HF_TOKEN for a gated model"
        ) from None


def _is_hub_error(error: Exception) -> bool:
    module = type(error).__module__.partition(".")[0]
    return module in ("huggingface_hub", "httpx", "httpx2", "requests") or isinstance(
        error, OSError | ValueError
    )
