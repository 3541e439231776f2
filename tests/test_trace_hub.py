"""Push and pull: the real hub client against a hub on loopback that keeps what it is given."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from rbridge.store.bundles import Terms, WeightModel, read_bundle, write_bundle
from rbridge.traces.card import dataset_card
from rbridge.traces.named import starter_path
from tests.commands import rbridge

TOKEN = "hf_secretsecretsecret"


class Hub:
    """Datasets by name and commit: what create, preupload, commit, info and resolve do at the hub."""

    def __init__(self, server: HTTPServer) -> None:
        self.base = server.url_for("").rstrip("/")
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}
        self.private: dict[str, bool] = {}
        self.tokens: set[str | None] = set()
        server.expect_request(re.compile(".*")).respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:  # noqa: C901, PLR0911 - a branch for each endpoint
        """One request, as the hub's documented endpoints answer it."""
        token = request.headers.get("Authorization")
        self.tokens.add(token)
        path = request.path
        if request.method == "POST" and token != f"Bearer {TOKEN}":
            return _refused(401, f"Invalid username or password for {token}")
        if path == "/api/repos/create":
            asked = request.get_json()
            name = f"{asked.get('organization', 'me')}/{asked['name']}"
            if name in self.repositories:
                return _json({"url": f"{self.base}/datasets/{name}"}, 409)
            self.repositories[name], self.private[name] = (
                {},
                (asked.get("private") is True or asked.get("visibility") == "private"),
            )
            return _json({"url": f"{self.base}/datasets/{name}"})
        if path == "/api/validate-yaml":
            return _json({"errors": [], "warnings": []})
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/preupload/main", path):
            files = request.get_json()["files"]
            return _json({"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                                    for file in files]})  # fmt: skip
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/commit/main", path):
            return self.commit(match[1], request.get_data())
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            commits = self.repositories.get(match[1])
            if not commits:
                return _refused(404, "Repository Not Found", "RepoNotFound")
            revision = list(commits)[-1] if match[2] in (None, "main") else match[2]
            if revision not in commits:
                return _refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
            return _json({"id": match[1], "sha": revision, "siblings": []})
        match = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        assert match is not None, path
        content = self.repositories[match[1]][match[2]].get(match[3])
        if content is None:
            return _refused(404, "Entry not found", "EntryNotFound")
        etag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        return Response(content, headers={"X-Repo-Commit": match[2], "ETag": f'"{etag}"'})

    def commit(self, name: str, payload: bytes) -> Response:
        """A commit's lines: a header, then files in base64."""
        files = dict(list(self.repositories[name].values())[-1]) if self.repositories[name] else {}
        for line in map(json.loads, payload.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        commit = hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()
        self.repositories[name][commit] = files
        url = f"{self.base}/datasets/{name}/commit/{commit}"
        return _json({"success": True, "commitOid": commit, "commitUrl": url})


def _json(document: object, status: int = 200) -> Response:
    return Response(json.dumps(document), status=status, mimetype="application/json")


def _refused(status: int, message: str, code: str = "") -> Response:
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return Response(
        json.dumps({"error": message}), status=status, mimetype="application/json", headers=headers
    )


@pytest.fixture
def hub(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """An empty hub, and an environment that points at it."""
    monkeypatch.setenv("HF_ENDPOINT", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return Hub(httpserver)


def test_a_bundle_comes_back_from_the_hub(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The 400 shipped traces: the same bytes, by branch and by commit, behind a card that says whose weights."""
    pushed = rbridge(capsys, "traces", "push", "starter", "team/starter")
    assert pushed.status == 0, pushed.err
    (commit,) = hub.repositories["team/starter"]
    assert f"team/starter@{commit}: 400 traces" in pushed.err
    assert hub.private == {"team/starter": True}
    files = hub.repositories["team/starter"][commit]
    assert set(files) == {"README.md", "manifest.json", "traces.parquet"}
    assert b"Qwen2.5-Coder-1.5B-Instruct (Q4_K_M)'s, not the writer's own" in files["README.md"]
    for number, name in enumerate(("team/starter", "team/starter@main", f"team/starter@{commit}")):
        pulled = rbridge(capsys, "traces", "pull", name, "-o", tmp_path / str(number))
        assert pulled.status == 0, pulled.err
        assert f"400 traces of team/starter@{commit}" in pulled.err
        for file in ("manifest.json", "traces.parquet"):
            assert (tmp_path / str(number) / file).read_bytes() == (starter_path() / file).read_bytes()
        assert sorted(path.name for path in (tmp_path / str(number)).iterdir()) == [
            "manifest.json",
            "traces.parquet",
        ]
    assert TOKEN not in pushed.err + pushed.out


def test_an_older_commit_is_still_pulled(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Manifest and traces are of one commit, never of two."""
    traces = read_bundle(starter_path()).traces
    for number in (3, 5):
        write_bundle(tmp_path / f"b{number}", traces[:number])
        assert rbridge(capsys, "traces", "push", tmp_path / f"b{number}", "team/x", "--public").status == 0
    first, second = hub.repositories["team/x"]
    assert hub.private == {"team/x": False}
    for revision, number in ((first, 3), (second, 5)):
        assert rbridge(capsys, "traces", "pull", f"team/x@{revision}", "-o", tmp_path / revision).status == 0
        assert len(read_bundle(tmp_path / revision).traces) == number


def test_what_was_tampered_with_is_refused(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other bytes, a rewritten manifest, a missing file: one line, and no folder is left."""
    rbridge(capsys, "traces", "push", "starter", "team/x")
    (files,) = hub.repositories["team/x"].values()
    good = dict(files)
    manifest = json.loads(good["manifest.json"])
    other = tmp_path / "other"
    write_bundle(other, read_bundle(starter_path()).traces[:1])
    swapped = (other / "traces.parquet").read_bytes()
    rewritten = {**manifest, "traces_sha256": hashlib.sha256(swapped).hexdigest()}
    cases = [
        ({"traces.parquet": swapped}, "does not match its manifest's SHA-256"),
        (
            {"traces.parquet": swapped, "manifest.json": json.dumps(rewritten).encode()},
            "do not have the content hash",
        ),
        ({"manifest.json": b"{"}, "not a manifest of rbridge"),
        ({"traces.parquet": None}, "the hub did not do it"),
    ]
    for changes, message in cases:
        files.clear()
        files |= {name: content for name, content in {**good, **changes}.items() if content is not None}
        refused = rbridge(capsys, "traces", "pull", "team/x", "-o", tmp_path / "b")
        assert (refused.status, message in refused.err, refused.err.count("\n")) == (1, True, 1), refused.err
        assert not (tmp_path / "b").exists()


def test_refusals_are_one_line_without_the_token(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token, a wrong one that the hub repeats, no such dataset or revision, no name at all."""
    rbridge(capsys, "traces", "push", "starter", "team/x")
    pull = ("traces", "pull", "-o", tmp_path / "b")
    cases: list[tuple[tuple[object, ...], str | None, str]] = [
        (("traces", "push", "starter", "team/y"), None, "HF_TOKEN is not set"),
        (("traces", "push", "starter", "team/y"), "hf_wrongwrongwrong", "the hub did not do it"),
        (("traces", "push", "starter", "team"), TOKEN, "expected the name of a dataset"),
        ((*pull, "team/none"), TOKEN, "the hub did not do it"),
        ((*pull, "team/x@none"), TOKEN, "the hub did not do it"),
    ]
    for command, token, message in cases:
        monkeypatch.setenv("HF_TOKEN", token or "")
        refused = rbridge(capsys, *command)
        assert (refused.status, message in refused.err, refused.err.count("\n")) == (1, True, 1), refused.err
        assert "hf_" not in refused.err
    hub.tokens.clear()
    monkeypatch.setenv("HF_TOKEN", "")
    assert rbridge(capsys, *pull, "team/x").status == 0
    assert hub.tokens == {None}  # a public bundle is pulled without any token, stored ones included


def test_a_card_cannot_be_broken_by_names(tmp_path: Path) -> None:
    """Names with pipes, newlines and YAML stay inside their cells; terms and key are told."""
    model = WeightModel(
        name="a|b\n---", sha256="0" * 64, dtype="float32", date="2026-01-01", shots=0, engine="e", note="n"
    )
    manifest = write_bundle(
        tmp_path / "b",
        read_bundle(starter_path()).traces[:1],
        name='x"\n---\nlicense: mit',
        weight_models=[model],
        terms={"claude": Terms(licence="T | U", use="research\nonly")},
        question_key="ab",
    )
    card = dataset_card(manifest, "team/x")
    head, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert 'pretty_name: "x\\"\\n---\\nlicense: mit"' in head
    assert [line for line in card.splitlines() if line.startswith("license:")] == ["license: other"]
    assert "| claude | 1 | T \\| U | research only |" in body
    assert "| a\\|b --- |" in body
    assert "fingerprint is `ab`" in body
