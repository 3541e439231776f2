"""Traces in and out: the exchange JSONL, the shipped starter bundle, teacher-forced weights."""
