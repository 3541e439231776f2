"""--offline: nothing leaves this machine, and whoever tries is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from rbridge.errors import InputError

# What the hub's clients read when they are imported.
_SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # its transfers are native code, which no audit hook sees
}
_WITH_SOCKET = ("socket.connect", "socket.sendto", "socket.sendmsg")
_EVENTS = (*_WITH_SOCKET, "socket.getaddrinfo", "socket.gethostbyname")


def forbid_network(allowed: Callable[[str], bool] | None = None) -> None:
    """Tell the hub's clients to stay offline, and refuse every connection of this process from now on.

    To be called before torch, transformers, datasets or huggingface_hub are imported. Sockets of the
    machine itself (AF_UNIX) stay allowed. It cannot be taken back.

    Args:
        allowed: whether a host may be connected to all the same: this machine, for an endpoint that
            runs on it.
    """
    os.environ |= _SETTINGS

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in _EVENTS and not (allowed is not None and allowed(_host(event, arguments))):
            _refuse(event, arguments)

    sys.addaudithook(hook)


def _host(event: str, arguments: tuple[object, ...]) -> str:
    address = arguments[1] if event in _WITH_SOCKET else arguments[0]
    host = address[0] if isinstance(address, tuple) and address else address
    return host.decode(errors="replace") if isinstance(host, bytes) else str(host)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    address = arguments[1] if event in _WITH_SOCKET else arguments[0]
    if isinstance(address, (str, bytes)) and event in _WITH_SOCKET:
        return  # the path of a local socket
    raise InputError(
        f"--offline: a connection to {address} was asked for and refused; drop --offline to allow it"
    )
