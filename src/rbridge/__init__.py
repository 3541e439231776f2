"""rBridge: rank pre-training datasets by small proxies' likelihood of a frontier model's reasoning."""

__version__ = "0.1.0"
