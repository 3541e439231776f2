"""What tokenising and aligning a bundle cost beside scoring it once: CPU seconds, shares, memory of what is kept.

python -m bench.encoding_share 4M --limit 10
python -m bench.encoding_share 20M --limit 4 --tokenizer FOLDER

In a sweep both are done once a tokenizer, so that the share falls with the number of checkpoints.
"""

from __future__ import annotations

import argparse
import tracemalloc
from pathlib import Path

from bench._shapes import LADDER, add_shape_options, build, cpu_seconds, shape_of
from bench._tokenizers import tokenizer_of

from rbridge.align import reasoning_confidence, spread, trace_spans, weighed_by, weight_sources
from rbridge.benchmarks import resolve_questions
from rbridge.scoring.encode import prompts
from rbridge.scoring.encodings import Encodings
from rbridge.scoring.engine import Engine
from rbridge.scoring.sweep import ScoreSettings, select_traces
from rbridge.scoring.tokenizer import ProxyTokenizer
from rbridge.traces.named import open_bundle


def main() -> None:
    """Print both shares."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shape", nargs="?", default="4M", choices=list(LADDER))
    add_shape_options(parser)
    parser.add_argument("--traces", default="starter")
    parser.add_argument("--limit", type=int, default=10, help="traces a benchmark")
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--tokenizer", type=Path, default=None, help="folder of a real one; else one is trained"
    )
    arguments = parser.parse_args()
    shape = shape_of(arguments.shape, arguments)
    bundle = open_bundle(arguments.traces)
    everything = resolve_questions(bundle.traces, "auto").traces
    tokenizer = ProxyTokenizer(tokenizer_of(arguments.tokenizer, everything, shape.vocabulary), where="bench")
    traces = resolve_questions(select_traces(bundle, ScoreSettings(limit=arguments.limit)), "auto").traces

    def tokenise() -> list:
        found = []
        for trace in traces:
            prompt = prompts(trace, arguments.shots)[0][1]
            tokenizer.normalises(f" {trace.reasoning}")
            tokenizer.normalises(prompt)
            tokenizer.encode(prompt)
            found.append(tokenizer.spell(tokenizer.encode(f" {trace.reasoning}")))
        return found

    reading, spelled = cpu_seconds(tokenise, arguments.runs)

    def align() -> None:
        for trace, pieces in zip(traces, spelled, strict=True):
            spans = trace_spans(pieces, trace.reasoning.encode())
            for source in weight_sources(trace):
                confidence = reasoning_confidence(weighed_by(trace, source))
                assert confidence is not None
                spread(confidence, spans.start, spans.end)

    aligning, _ = cpu_seconds(align, arguments.runs)
    tracemalloc.start()
    encoded, skips = Encodings(traces, arguments.shots, None).of(tokenizer, None)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    engine = Engine(build(shape), name="model")

    def score() -> None:
        for batch in engine.plan(encoded, 4096):
            engine.losses(batch)

    scoring, _ = cpu_seconds(score, arguments.runs)
    fed = sum(len(item.ids) for item in encoded)
    print(
        f"{shape.architecture} {arguments.shape}, {len(encoded)} traces of {fed} tokens with prompts ({len(skips)} "
        f"skipped), {arguments.shots} shots, {tokenizer.vocabulary_size} tokens known: scoring "
        f"{1000 * scoring / len(encoded):.1f} ms a trace"
    )
    for name, seconds, allowed in (("tokenising", reading, 0.02), ("alignment", aligning, 0.005)):
        print(
            f"  {name}: {1000 * seconds / len(traces):.2f} ms a trace, {100 * seconds / scoring:.2f} % of scoring one "
            f"checkpoint, ratio to the {100 * allowed:.1f} % that are allowed {seconds / scoring / allowed:.2f}"
        )
    print(f"  kept for the next checkpoint: {kept / 2**20:.1f} MB, {kept / fed:.0f} bytes a token")


if __name__ == "__main__":
    main()
