"""Evaluate targets: accuracy and pass@k of a checkpoint or an endpoint on a benchmark, by generation.

prompts (worked examples, then the question) -> replies (transformers here, or a server) -> kept as they come
-> cut at the benchmark's stops -> the answer read -> checked. torch is imported by ``local`` alone.
"""
