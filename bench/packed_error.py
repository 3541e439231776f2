"""Packed against one by one, and token statistics' cost: python bench/packed_error.py 20M --items 16."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from bench._shapes import SHAPES, build, cpu_seconds, gemm_gigaflops, make_items

from rbridge.scoring.engine import Engine


def main() -> None:
    """Print errors and shares."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shape", nargs="?", default="20M", choices=list(SHAPES))
    parser.add_argument("--items", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", type=Path, default=None, help="write where the time goes to this file")
    arguments = parser.parse_args()
    model = build(arguments.shape)
    engine = Engine(model, name=arguments.shape)
    items = make_items(arguments.items)

    def packed() -> dict:
        return {
            item.key: losses
            for batch in engine.plan(items, 4096)
            for item, losses in zip(batch, engine.losses(batch), strict=True)
        }

    def with_statistics() -> None:
        for batch in engine.plan(items, 4096):
            engine.statistics(batch)

    seconds, found = cpu_seconds(packed, arguments.runs)
    alone = {item.key: engine.losses([item])[0] for item in items}
    token = max(float(np.abs(found[key] - alone[key]).max()) for key in alone)
    trace = max(abs(float(found[key].mean() - alone[key].mean())) for key in alone)
    assert token <= 5e-5
    assert trace <= 5e-6
    print(
        f"{arguments.shape} packed against one by one: {token:.1e} nats a token, {trace:.1e} a trace's mean"
    )
    more, _ = cpu_seconds(with_statistics, arguments.runs)
    print(f"{arguments.shape} token statistics: {100 * (more / seconds - 1):.0f} % more CPU time")
    head = model.get_output_embeddings().weight
    body = sum(p.numel() for layer in model.base_model.layers for p in layer.parameters())
    fed, scored = sum(len(item.ids) for item in items), sum(len(item.scored) for item in items)
    useful = 2 * (body * fed + head.numel() * scored) / seconds / 1e9
    peak = gemm_gigaflops()
    print(
        f"{arguments.shape} useful {useful:.0f} GFLOP/s of {peak:.0f} that one product reaches: "
        f"{100 * useful / peak:.0f} % (body on all tokens, head on scored ones; attention not counted)"
    )
    if arguments.profile:
        with torch.profiler.profile() as profile:
            packed()
        table = profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15)
        arguments.profile.write_text(table)


if __name__ == "__main__":
    main()
