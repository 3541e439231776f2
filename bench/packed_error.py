"""Packed against one by one, the share of a float32 product's speed, token statistics' cost, and memory.

python -m bench.packed_error 60M --items 16 --profile /tmp/profile.txt
python -m bench.packed_error 60M --architecture llama --width 512 --heads 8 --kv-heads 2 --layers 10 --vocabulary 32000
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from bench._shapes import (
    LADDER,
    add_shape_options,
    build,
    cpu_seconds,
    gemm_gigaflops,
    make_items,
    peak_megabytes,
    shape_of,
)

from rbridge.scoring.engine import Engine


def main() -> None:
    """Print errors and shares."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shape", nargs="?", default="20M", choices=list(LADDER))
    add_shape_options(parser)
    parser.add_argument("--items", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--profile", type=Path, default=None, help="write where the time goes to this file")
    arguments = parser.parse_args()
    shape = shape_of(arguments.shape, arguments)
    name = f"{shape.architecture} {arguments.shape}"
    model = build(shape)
    engine = Engine(model, name=name)
    items = make_items(arguments.items, shape.vocabulary)
    weights = 4 * model.num_parameters() / 2**20

    def packed() -> dict:
        return {
            item.key: losses
            for batch in engine.plan(items, arguments.batch_tokens)
            for item, losses in zip(batch, engine.losses(batch), strict=True)
        }

    def with_statistics() -> None:
        for batch in engine.plan(items, arguments.batch_tokens):
            engine.statistics(batch)

    seconds, found = cpu_seconds(packed, arguments.runs)
    beside = peak_megabytes() - weights
    print(
        f"{name}: peak memory {peak_megabytes():.0f} MB, {beside:.0f} MB beside the weights of {weights:.0f} MB, "
        f"{beside / 600:.2f} of the 600 MB that are allowed",
        flush=True,
    )
    alone = {item.key: engine.losses([item])[0] for item in items}
    token = max(float(np.abs(found[key] - alone[key]).max()) for key in alone)
    trace = max(abs(float(found[key].mean() - alone[key].mean())) for key in alone)
    assert token <= 5e-5, token
    assert trace <= 5e-6, trace
    print(f"{name}: packed against one by one: {token:.1e} nats a token, {trace:.1e} a trace's mean")
    more, _ = cpu_seconds(with_statistics, arguments.runs)
    print(f"{name}: token statistics: {100 * (more / seconds - 1):.0f} % more CPU time")
    head = model.get_output_embeddings().weight.numel()
    embedding = model.get_input_embeddings().weight.numel()
    body = model.num_parameters() - embedding - (0 if shape.tied else head)
    fed, scored = sum(len(item.ids) for item in items), sum(len(item.scored) for item in items)
    useful = 2 * (body * fed + head * scored) / seconds / 1e9
    peak = gemm_gigaflops()
    print(
        f"{name}: {fed / seconds:.0f} tokens a CPU second, useful {useful:.0f} GFLOP/s of the {peak:.0f} of one "
        f"product of 2048 x 768 x 3072: {100 * useful / peak:.0f} % "
        "(body on all tokens, head on scored ones; attention not counted)"
    )
    if arguments.profile:
        with torch.profiler.profile() as profile:
            packed()
        table = profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15)
        arguments.profile.write_text(table)


if __name__ == "__main__":
    main()
