"""--offline: nothing leaves this machine, and whoever tries is told."""

from __future__ import annotations

import os
import sys

from rbridge.errors import InputError

# What the hub's clients read when they are imported.
_SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # its transfers are native code, which no audit hook sees
}
_EVENTS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")


def forbid_network() -> None:
    """Tell the hub's clients to stay offline, and refuse every connection of this process from now on.

    To be called before torch, transformers, datasets or huggingface_hub are imported. Sockets of the
    machine itself (AF_UNIX) stay allowed, loopback does not. It cannot be taken back.
    """
    os.environ |= _SETTINGS
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _EVENTS:
        return
    address = arguments[1] if event in ("socket.connect", "socket.sendto", "socket.sendmsg") else arguments[0]
    if isinstance(address, (str, bytes)) and event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        return  # the path of a local socket
    raise InputError(
        f"--offline: a connection to {address} was asked for and refused; drop --offline to allow it"
    )
