"""What a 5-shot beginning that is run once saves: the same items with and without sharing, losses compared.

python -m bench.shared_prefix 20M --items 24 --shared 1200
"""

from __future__ import annotations

import argparse

from bench._shapes import LADDER, add_shape_options, build, cpu_seconds, make_items, shape_of

from rbridge.scoring import packing
from rbridge.scoring.engine import Engine


def main() -> None:
    """Print the ratio of CPU seconds and the largest difference of a token's loss."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shape", nargs="?", default="20M", choices=list(LADDER))
    add_shape_options(parser)
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--shared", type=int, default=1200)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    shape = shape_of(arguments.shape, arguments)
    engine = Engine(build(shape), name=arguments.shape)
    items = make_items(arguments.items, shape.vocabulary, shared=arguments.shared)

    def read() -> dict:
        return {
            item.key: losses
            for batch in engine.plan(items, 4096)
            for item, losses in zip(batch, engine.losses(batch), strict=True)
        }

    once, shared = cpu_seconds(read, arguments.runs)
    packing.SHARED_AT_LEAST = 1 << 30
    each, alone = cpu_seconds(read, arguments.runs)
    apart = max(float(abs(shared[key] - alone[key]).max()) for key in alone)
    assert apart <= 5e-5, apart
    print(
        f"{shape.architecture} {arguments.shape}, {arguments.items} items behind {arguments.shared} shared tokens: "
        f"{once:.2f} s once, {each:.2f} s for each, ratio {each / once:.2f}, "
        f"largest difference {apart:.1e} nats a token"
    )


if __name__ == "__main__":
    main()
