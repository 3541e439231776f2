"""Bundles to and from the Hugging Face hub, as datasets of three files: manifest, traces, card.

The token comes from the environment (``HF_TOKEN``) alone, and a bundle that was pulled is checked against its
manifest to the last hash before it gets its name.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rbridge.errors import InputError, MissingExtra
from rbridge.store.bundles import MANIFEST, TRACES, Bundle, content_sha256, read_bundle
from rbridge.store.files import new_folder
from rbridge.traces.card import dataset_card

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def push(bundle: Bundle, repository: str, *, private: bool) -> str:
    """Upload a bundle as one commit of a dataset, made if there is none.

    Args:
        bundle: as read from disk.
        repository: owner/name.
        private: whether a dataset that is made is private.

    Returns:
        The commit.

    Raises:
        InputError: no token, no such name, or the hub refuses.
        MissingExtra: ``huggingface_hub`` is not installed.
    """
    _check_name(repository)
    token = os.environ.get("HF_TOKEN")
    if not token:
        raise InputError("pushing needs a token with write access in the environment: HF_TOKEN is not set")
    with _client(repository, token) as api, tempfile.TemporaryDirectory() as folder:
        for name in (MANIFEST, TRACES):
            shutil.copyfile(bundle.path / name, Path(folder) / name)
        (Path(folder) / "README.md").write_text(dataset_card(bundle.manifest, repository), encoding="utf-8")
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=folder,
            commit_message=f"{bundle.manifest.name}: {len(bundle.traces)} traces",
        )
        return done.oid


def pull(name: str, out: Path) -> tuple[Bundle, str]:
    """Download a bundle, all of it from one commit, and check it.

    Args:
        name: owner/name, with @revision or not.
        out: folder that does not exist yet.

    Returns:
        The bundle, and the commit that it came from.

    Raises:
        InputError: no such dataset or revision, it holds no bundle, or one that is damaged.
        MissingExtra: ``huggingface_hub`` is not installed.
    """
    repository, _, revision = name.partition("@")
    _check_name(repository)
    with _client(name, os.environ.get("HF_TOKEN") or False) as api:
        commit = api.dataset_info(repository, revision=revision or None).sha
        assert commit is not None  # the hub names the commit of every revision
        with new_folder(out) as folder, tempfile.TemporaryDirectory() as scratch:
            for file in (MANIFEST, TRACES):
                found = api.hf_hub_download(
                    repository, file, repo_type="dataset", revision=commit, local_dir=scratch
                )
                shutil.copyfile(found, folder / file)
            try:
                bundle = read_bundle(folder)
            except InputError as error:
                raise InputError(str(error).replace(str(folder), name)) from None
            if content_sha256(bundle.traces) != bundle.manifest.content_sha256:
                raise InputError(
                    f"{name}: its traces do not have the content hash of its manifest; ask who pushed it"
                )
    return Bundle(out, bundle.manifest, bundle.traces), commit


@contextmanager
def _client(name: str, token: str | bool) -> Generator[HfApi]:
    """The hub's client; what it raises inside comes out as one line, which never holds the token."""
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HFValidationError, HTTPError, OfflineModeIsEnabled
    except ImportError:
        raise MissingExtra("huggingface_hub", "hf", "pushing and pulling bundles") from None
    try:
        yield HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    except (HTTPError, HFValidationError, OfflineModeIsEnabled) as error:
        reason = " ".join(str(error).split())
        if isinstance(token, str):
            reason = reason.replace(token, "HF_TOKEN")
        raise InputError(f"{name}: the hub did not do it: {reason[:300]}") from None


def _check_name(repository: str) -> None:
    if not _NAME.fullmatch(repository):
        raise InputError(f"{repository}: expected the name of a dataset at the hub, owner/name")
