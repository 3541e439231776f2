"""A model hub on loopback that answers as huggingface_hub asks: one repository, several revisions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response


def serve_hub(server: HTTPServer, folder: Path, repository: str, revisions: Sequence[str]) -> list[str]:
    """Serve a folder under every revision; the list that comes back fills with the files that are fetched."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    commits = {name: f"{index + 1:x}" * 40 for index, name in enumerate(["main", *revisions])}
    commits |= {commit: commit for commit in commits.values()}
    fetched: list[str] = []

    def answer(request: Request) -> Response:
        path = request.path
        if path == f"/api/models/{repository}/refs":
            branches = [
                {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commits[name]}
                for name in ["main", *revisions]
            ]
            return _json({"branches": branches, "tags": [], "converts": []})
        if path.startswith(f"/api/models/{repository}/tree/"):
            return _json([_entry(file) for file in files])
        if path.startswith(f"/api/models/{repository}"):
            commit = commits[path.rsplit("/", 1)[1] if "/revision/" in path else "main"]
            siblings = [{"rfilename": file.name} for file in files]
            return _json({"id": repository, "sha": commit, "siblings": siblings})
        revision, _, name = path.removeprefix(f"/{repository}/resolve/").partition("/")
        if not (folder / name).is_file() or revision not in commits:
            return Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        if request.method == "GET":
            fetched.append(name)
        content = (folder / name).read_bytes()
        return Response(
            content, headers={"X-Repo-Commit": commits[revision], "ETag": f'"{name}-{len(content)}"'}
        )

    server.expect_request(re.compile(".*")).respond_with_handler(answer)
    return fetched


def _entry(file: Path) -> dict[str, object]:
    """A file as the hub lists it; large ones carry their SHA-256."""
    content = file.read_bytes()
    entry: dict[str, object] = {"type": "file", "path": file.name, "size": len(content), "oid": "0" * 40}
    if file.suffix == ".safetensors":
        sha256 = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
    return entry


def _json(value: object) -> Response:
    return Response(json.dumps(value), mimetype="application/json")
