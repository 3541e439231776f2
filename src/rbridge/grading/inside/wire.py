"""Values between the candidate's process and the judge's: plain data, nothing that can run.

A list that the judge compares is a list of the judge's own making; an object whose ``__eq__`` says yes
to everything stays in the process that made it and arrives as ``Foreign``, which fails every test.
"""

from __future__ import annotations

import json
import sys
from typing import Any


class Foreign:
    """A value of another type than plain data: whatever a test asks of it, the test fails."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def _refuse(self, *_: object) -> Any:
        raise TypeError(f"returned a {self._kind}, which is no plain data")

    __eq__ = __ne__ = __bool__ = __str__ = __hash__ = _refuse


def dumps(value: Any) -> str:
    """A value in one line of JSON."""
    return json.dumps(_encode(value))


def loads(line: str) -> Any:
    """The value that a line spells.

    Raises:
        ValueError, TypeError, KeyError: it spells none.
    """
    return _decode(json.loads(line))


def _encode(value: Any) -> Any:  # noqa: PLR0911 - one return a kind
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return {"float": float.__repr__(value)}  # inf and nan too
    if isinstance(value, complex):
        return {"complex": [float.__repr__(value.real), float.__repr__(value.imag)]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, dict):
        return {"dict": [[_encode(key), _encode(item)] for key, item in value.items()]}
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return {kind.__name__: [_encode(item) for item in value]}
    return {"foreign": type(value).__name__}


def _decode(found: Any) -> Any:  # noqa: PLR0911 - one return a kind
    if not isinstance(found, dict):
        if isinstance(found, (list, float)):
            raise TypeError("a bare list or float stands for nothing")
        return found
    (kind, body), *rest = found.items()
    if rest:
        raise ValueError("one kind a value")
    match kind:
        case "float":
            return float(body)
        case "complex":
            return complex(float(body[0]), float(body[1]))
        case "bytes":
            return bytes.fromhex(body)
        case "dict":
            return {_decode(key): _decode(item) for key, item in body}
        case "list" | "tuple" | "set" | "frozenset":
            make = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind]
            return make([_decode(item) for item in body])
        case "foreign":
            return Foreign(str(body))
        case _:
            raise ValueError(f"no kind {kind!r}")


def limit_process(cpu_seconds: int, memory: int) -> None:
    """Limits that this process cannot raise again: its time, memory, files; it writes no file at all."""
    import resource  # Linux alone has the sandbox, but every machine imports this file

    for what, most in (
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    sys.set_int_max_str_digits(0)  # whole numbers of any length are plain data
