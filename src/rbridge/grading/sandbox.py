"""A sandbox from bubblewrap: no network, nothing writable, no second process, limits on everything else.

Inside stand the system's libraries, this Python and the few files that are put there, all read-only; no
``/proc``, ``/dev``, ``/tmp`` or home, no environment, no package but the standard library. A system call
filter refuses new processes and threads, so that a fork bomb is one process: a limit on their
number would not hold for root. Where any of this is not to be had, nothing is run.
"""

from __future__ import annotations

import importlib.resources
import os
import platform
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rbridge.errors import MissingTool

CPU_SECONDS = 10
MEMORY = 1 << 30  # bytes of address space, each process
WALL_SECONDS = 60.0

_REMEDY = (
    "install bubblewrap (Debian: apt-get install bubblewrap) and run where user namespaces are allowed; "
    "code is never run without it"
)
# Audit name of the machine, and numbers of the calls that make processes, threads, namespaces or debug
# another: clone, clone3, unshare, setns, ptrace, and where they exist fork and vfork.
_MACHINES = {
    "x86_64": (0xC000003E, (56, 435, 272, 308, 101, 57, 58)),
    "aarch64": (0xC00000B7, (220, 435, 97, 268, 117)),
}
_PROBE = """
import os, socket, threading
def refused(do):
    try:
        do()
    except (OSError, RuntimeError):
        return True
    return False
def write():
    open("/probe", "w")
def connect():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))
held = [refused(do) for do in (os.fork, threading.Thread(target=int).start, write, connect)]
print("held" if all(held) else held)
"""


@lru_cache(maxsize=1)
def require_sandbox() -> None:
    """Try the sandbox once: it must start, and refuse a process, a thread, a file and the network.

    Raises:
        MissingTool: there is no bubblewrap, it may not be used here, or it does not hold.
    """
    if shutil.which("bwrap") is None:
        raise MissingTool(
            f"checking code needs the sandbox bubblewrap (bwrap), which is not installed: {_REMEDY}"
        )
    if platform.machine() not in _MACHINES:
        known = " or ".join(_MACHINES)
        raise MissingTool(f"checking code needs a machine of type {known}, this is {platform.machine()}")
    with make_sandbox({}) as sandbox:
        done = subprocess.run(
            [*sandbox.command, "-c", _PROBE],
            pass_fds=sandbox.files, capture_output=True, text=True, check=False, timeout=WALL_SECONDS,
        )  # fmt: skip
    if done.stdout.strip() != "held":
        said = (done.stderr or done.stdout).strip().rpartition("\n")[2] or f"exit status {done.returncode}"
        raise MissingTool(
            f"checking code needs a sandbox, and bwrap does not give one here ({said}): {_REMEDY}"
        )


@dataclass(frozen=True)
class Sandbox:
    """A sandboxed Python, ready to be started with ``pass_fds=sandbox.files``.

    Attributes:
        command: bwrap with all its options, up to and including the interpreter; its arguments follow.
        files: descriptors that bwrap reads.
    """

    command: tuple[str, ...]
    files: tuple[int, ...]


@contextmanager
def make_sandbox(contents: Mapping[str, str]) -> Iterator[Sandbox]:
    """A sandbox, whose command must be started before the block ends.

    Args:
        contents: the text of each file that stands in the sandbox's root, by name.
    """
    files = [_in_memory(_filter())]
    options = ["--seccomp", str(files[0])]
    try:
        for name, text in contents.items():
            files.append(_in_memory(text.encode()))
            options += ["--ro-bind-data", str(files[-1]), f"/{name}"]
        command = ("bwrap", *_NAMESPACES, *_system(), *options, "--remount-ro", "/", "--", *_interpreter())
        yield Sandbox(command, tuple(files))
    finally:
        for descriptor in files:
            os.close(descriptor)


_NAMESPACES = (
    "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL", "--chdir", "/",
)  # fmt: skip


def _system() -> Sequence[str]:
    """What is bound read-only: the system's libraries, this Python, and the code of ``inside``."""
    options = ["--ro-bind", "/usr", "/usr"]
    for name in ("/lib", "/lib32", "/lib64"):
        if Path(name).is_symlink():
            options += ["--symlink", str(Path(name).readlink()), name]
        elif Path(name).is_dir():
            options += ["--ro-bind", name, name]
    prefix = sys.base_prefix
    if not Path(prefix).is_relative_to("/usr"):
        options += ["--ro-bind", prefix, prefix]
    inside = importlib.resources.files("rbridge.grading") / "inside"
    return [*options, "--ro-bind", str(inside), "/code/rbridge/grading/inside"]


def _interpreter() -> Sequence[str]:
    """This Python's own binary, not a virtual environment's, without site packages."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [str(Path(sys.base_prefix) / "bin" / name), "-I", "-S", "-B"]


def _filter() -> bytes:
    """The system call filter, as struct sock_filter[] (linux/filter.h): refused calls give EPERM."""
    audit, refused = _MACHINES[platform.machine()]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    program = [
        (load, 0, 0, 4),
        (equal, 1, 0, audit),
        (give, 0, 0, 0x8000_0000),
    ]  # another machine's call: kill
    program += [(load, 0, 0, 0), (at_least, len(refused) + 1, 0, 0x4000_0000)]  # x32's numbers
    program += [(equal, len(refused) - place, 0, call) for place, call in enumerate(refused)]
    program += [(give, 0, 0, 0x7FFF_0000), (give, 0, 0, 0x0005_0001)]  # allow; EPERM
    return b"".join(struct.pack("HBBI", *step) for step in program)


def _in_memory(data: bytes) -> int:
    descriptor = os.memfd_create("rbridge")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
