"""A study as jobs for others' schedulers: a line a unit, a Slurm array, an indexed Job of Kubernetes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rbridge.store.files import write_bytes
from rbridge.study.read import Study
from rbridge.study.units import Graph, Unit

# What takes a line of the file and becomes its command; its arguments are the file and the line, from 0.
_TAKE = (
    "import json, os, sys; "
    "argv = json.loads(open(sys.argv[1]).read().splitlines()[int(sys.argv[2])])['argv']; "
    "os.execvp(argv[0], argv)"
)


def job_lines(study: Study, graph: Graph) -> list[dict[str, Any]]:
    """A job for each unit, each behind what it depends on."""
    return [_job(study, unit, number) for number, unit in enumerate(graph.units.values())]


def _job(study: Study, unit: Unit, number: int) -> dict[str, Any]:
    return {
        "index": number,
        "id": unit.id,
        "kind": unit.kind,
        "argv": ["rbridge", "study", "run", str(study.path), "--only", unit.id, "--wait"],
        "depends_on": list(unit.before),
        "flops": unit.flops,
        "gpu": unit.kind in ("train", "score", "evaluate"),
    }


def emit(study: Study, graph: Graph, jobs: Path) -> tuple[Path, Path, Path]:
    """Write ``jobs`` and, beside it, the two files that run it; gives back all three.

    Jobs may be begun in any number at once, in the order of the file: each waits for what it depends on, which
    stands before it, so one of those that run can always go on. One that is killed and begun again goes on.
    """
    lines = job_lines(study, graph)
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
    sbatch, kubernetes = jobs.with_suffix(".sbatch"), jobs.with_suffix(".kubernetes.yaml")
    jobs.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(jobs, text.encode())
    write_bytes(sbatch, _sbatch(study, jobs.resolve(), lines).encode())
    write_bytes(kubernetes, _kubernetes(study, jobs.resolve(), lines).encode())
    return jobs, sbatch, kubernetes


def _sbatch(study: Study, jobs: Path, lines: Sequence[dict[str, Any]]) -> str:
    return f"""#!/bin/bash
#SBATCH --job-name={study.spec.name}
#SBATCH --array=0-{len(lines) - 1}%8
#SBATCH --gres=gpu:1
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output={study.spec.name}-%A_%a.log

# Units of {study.path.name}, at most 8 at once, in order; each waits for those that it depends on.
# All nodes must see {study.out}. Submit it again, or let Slurm requeue: what is done is not done again.
# More units than MaxArraySize: sbatch --array=0-999%8, then sbatch --export=ALL,OFFSET=1000 --array=0-...%8
set -euo pipefail
exec python3 -c {json.dumps(_TAKE)} {_quoted(str(jobs))} "$((SLURM_ARRAY_TASK_ID + ${{OFFSET:-0}}))"
"""


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _kubernetes(study: Study, jobs: Path, lines: Sequence[dict[str, Any]]) -> str:
    import yaml

    name = study.spec.name.lower().replace("_", "-").replace(".", "-").replace("+", "-")
    container = {
        "name": "unit",
        "image": "registry.example.com/rbridge:0.1.0",
        "command": ["python3", "-c", _TAKE, str(jobs), "$(JOB_COMPLETION_INDEX)"],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "volumeMounts": [{"name": "shared", "mountPath": str(study.path.parent)}],
    }
    document = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"rbridge-{name}"[:63].rstrip("-")},
        "spec": {
            "completionMode": "Indexed",
            "completions": len(lines),
            "parallelism": min(8, len(lines)),
            "backoffLimitPerIndex": 3,
            "maxFailedIndexes": len(lines),
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [container],
                    "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": "rbridge"}}],
                }
            },
        },
    }
    head = (
        f"# Units of {study.path.name} as an indexed Job: put in your image (with rbridge[train]) and your claim.\n"
        "# Pods are begun in the order of the units; each waits for those that it depends on. All must see the\n"
        "# study's folder at the same path. A pod that dies is begun again and goes on.\n"
    )
    return head + yaml.safe_dump(document, sort_keys=False, width=1000)
