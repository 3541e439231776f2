"""What a bundle of traces is like: measured, never judged. Pure: texts and arrays in, figures out."""

from rbridge.quality.chance import Chance, Judged, chance, judge
from rbridge.quality.check import BenchmarkCheck, check_traces
from rbridge.quality.contamination import SEEN, Found, NgramIndex, is_contaminated
from rbridge.quality.figures import Quantiles, Share, clustered_share, quantiles, share
from rbridge.quality.leaks import LEAKS, leaks
from rbridge.quality.overlap import contained, near_duplicates, shingles
from rbridge.quality.pieces import WeightProfile, reasoning_pieces, weight_profile

__all__ = [
    "LEAKS",
    "SEEN",
    "BenchmarkCheck",
    "Chance",
    "Found",
    "Judged",
    "NgramIndex",
    "Quantiles",
    "Share",
    "WeightProfile",
    "chance",
    "check_traces",
    "clustered_share",
    "contained",
    "is_contaminated",
    "judge",
    "leaks",
    "near_duplicates",
    "quantiles",
    "reasoning_pieces",
    "share",
    "shingles",
    "weight_profile",
]
