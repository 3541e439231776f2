"""rbridge traces push, pull: bundles to and from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from rbridge.cli.output import say


def push(bundle: str, repository: str, *, public: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Push a bundle to the hub as a dataset with a card; the token is HF_TOKEN of the environment.

    Example: rbridge traces push bundle my-team/gsm8k-traces

    Parameters
    ----------
    bundle
        A folder, or "starter".
    repository
        Owner/name of the dataset; made, private, if there is none.
    public
        Make a new dataset public.
    """
    from rbridge.traces.hub import push as push_bundle
    from rbridge.traces.named import open_bundle

    found = open_bundle(bundle)
    commit = push_bundle(found, repository, private=not public)
    say(f"{repository}@{commit}: {len(found.traces)} traces")
    return 0


def pull(name: str, *, out: Annotated[Path, Parameter(name=["--out", "-o"])]) -> int:
    """Pull a bundle from the hub, and check every hash of it.

    Example: rbridge traces pull my-team/gsm8k-traces@main -o bundle

    Parameters
    ----------
    name
        Owner/name of a dataset, with @revision (a branch, a tag or a commit) or not.
    out
        Folder of the new bundle.
    """
    from rbridge.store.files import refuse_existing
    from rbridge.traces.hub import pull as pull_bundle

    refuse_existing(out)
    bundle, commit = pull_bundle(name, out)
    say(f"{out}: {len(bundle.traces)} traces of {name.partition('@')[0]}@{commit}")
    return 0
