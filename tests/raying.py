"""Score on a Ray cluster of this machine, a worker killed in the middle: ``python -m tests.raying FOLDER``.

FOLDER holds checkpoints ``step*`` and a ``bundle``. Prints what was told, beside the status.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from pathlib import Path

from rbridge.cli import run as rbridge
from rbridge.store.bundles import Bundle
from rbridge.traces import named

_open = named.open_bundle


def open_and_die_once(name: str) -> Bundle:
    """The bundle; the first worker whose fifth batch comes, in its second checkpoint, is killed by SIGKILL."""
    from rbridge.scoring import sweep
    from rbridge.scoring.engine import Engine

    real, seen = Engine.losses, []
    sweep._KEEP_EVERY = 0.0

    def losses(self: Engine, batch: list) -> list:
        if batch[0].key.benchmark != "self-test":
            seen.append(1)
            if len(seen) == 6:
                with contextlib.suppress(FileExistsError):
                    (Path(name).parent / "killed").open("x").close()
                    os.kill(os.getpid(), signal.SIGKILL)
        return real(self, batch)

    Engine.losses = losses
    return _open(name)


def main(folder: str) -> None:
    """Relative paths: a worker must read them as this process does."""
    os.chdir(folder)
    given = ["step*", "--traces", "bundle", "--shots", "0", "--batch-tokens", "1", "-o", "ray", "--json"]
    named.open_bundle = open_and_die_once
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        for _ in range(
            3
        ):  # Ray gives up where a busy machine takes more than 15 s to start one of its processes
            status = rbridge(["score", *given, "--ray", "local", "--workers", "2"])
            if status == 0 or Path("ray").exists():
                break
    print(json.dumps({"status": status, "told": out.getvalue()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
