"""Ask a frontier model's endpoint for traces, once: pay for each reply once and keep it.

prompt -> client -> ledger (the raw reply, committed as it arrives) -> cut (pieces that spell it,
the reasoning through its JSON escapes) -> bundle. Everything behind the ledger can be made again
from it, so that a kill at any moment costs at most the replies that were under way.
"""

from rbridge.traces.generate.answers import answer_check
from rbridge.traces.generate.client import Key, check_endpoint, is_loopback, read_key
from rbridge.traces.generate.cost import Price, find_price
from rbridge.traces.generate.run import Outcome, generate
from rbridge.traces.generate.series import Settings

__all__ = [
    "Key",
    "Outcome",
    "Price",
    "Settings",
    "answer_check",
    "check_endpoint",
    "find_price",
    "generate",
    "is_loopback",
    "read_key",
]
