"""The page that stands before a bundle at the hub, made from its manifest alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rbridge.align import whose_weights
from rbridge.store.bundles import BundleManifest


def dataset_card(manifest: BundleManifest, repository: str) -> str:
    """A dataset card: YAML head, what the bundle holds, whose weights, under which terms, how to use it.

    Args:
        manifest: the bundle's.
        repository: where it will stand, owner/name.
    """
    return "\n".join([*_head(manifest), *_body(manifest, repository)]) + "\n"


def _head(manifest: BundleManifest) -> Iterator[str]:
    # JSON strings are YAML strings, whatever a name holds.
    yield "---"
    yield f"pretty_name: {json.dumps(manifest.name)}"
    yield "task_categories: [text-generation]"
    yield "tags: [reasoning, rbridge]"
    licences = sorted({licence for voice in manifest.voices if (licence := manifest.licence_of(voice))})
    if licences:
        yield "license: other"
        yield f"license_name: {json.dumps(' / '.join(licences))}"
    yield "configs: [{config_name: default, data_files: traces.parquet}]"
    yield "---"


def _body(manifest: BundleManifest, repository: str) -> Iterator[str]:
    yield f"# {_line(manifest.name)}"
    yield ""
    whose = _line(whose_weights(manifest.weight_sources))
    yield f"{sum(manifest.counts.values())} reasoning traces for rBridge; {whose}."
    if manifest.note:
        yield f"\n{_line(manifest.note)}"
    yield "\n| benchmark | traces |\n| --- | --- |"
    yield from (f"| {_cell(name)} | {count} |" for name, count in manifest.counts.items())
    yield "\n| voice | traces | licence or terms | use |\n| --- | --- | --- | --- |"
    for voice, count in manifest.voices.items():
        stated = manifest.terms.get(voice)
        licence = manifest.licence_of(voice) or "not stated"
        use = (stated.use if stated is not None else None) or "not stated"
        yield f"| {_cell(voice)} | {count} | {_cell(licence)} | {_cell(use)} |"
    if manifest.weight_models:
        yield "\n| weight model | SHA-256 of its weights | dtype | date |\n| --- | --- | --- | --- |"
        for model in manifest.weight_models:
            yield f"| {_cell(model.name)} | `{model.sha256[:16]}` | {model.dtype} | {model.date} |"
    if manifest.question_key is not None:
        yield (
            "\nThe questions are not here: their hashes are salted with a key whose fingerprint is "
            f"`{manifest.question_key}`, which stays with the questions."
        )
    yield f"\nContent hash `{manifest.content_sha256}`, made by rbridge {manifest.rbridge_version}, {manifest.created}."
    yield f"\n    rbridge traces pull {repository} -o bundle\n    rbridge traces check bundle"


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")
