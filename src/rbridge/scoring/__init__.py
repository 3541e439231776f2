"""Run proxies over traces. Nothing outside this room and ``proxies`` touches torch."""

from importlib.util import find_spec

from rbridge.errors import MissingExtra

for _package in ("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub"):
    if find_spec(_package) is None:
        raise MissingExtra(_package, "hf", "scoring a checkpoint")
