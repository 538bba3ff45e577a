"""What a child process gives up before it touches bytes nobody trusts.

Order inside the child: `leave_network`, then `enter`, then import what is heavy. Both want a
process of one thread, and ONNX Runtime and BLAS start threads when they are imported; started
afterwards, those inherit what was given up. Works without root and without containers;
`sandbox_support` says what this machine can give, `enter` proves it by trying what must fail.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plaza_accel import landlock

_PR_SET_PDEATHSIG: Final = 1
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}
_OUTSIDE: Final = Path("/etc/passwd")
"""A file that exists everywhere, is readable by everyone and belongs to no bundle."""

_SYSTEM_READS: Final = (
    Path("/usr/lib"),
    Path("/usr/lib64"),
    Path("/usr/local/lib"),
    Path("/lib"),
    Path("/lib64"),
    Path("/etc/ld.so.cache"),
    Path("/proc/self"),
    Path("/proc/cpuinfo"),
    Path("/proc/meminfo"),
    Path("/sys/devices/system/cpu"),
    Path("/dev/urandom"),
)


class SandboxError(Exception):
    """The sandbox could not be entered; the child must end without touching the bundle."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What one child may still do."""

    readable: tuple[Path, ...]
    """Directories and files besides the interpreter, its packages and system libraries."""
    memory_bytes: int
    """Address space, the interpreter's included."""
    cpu_seconds: int


@dataclass(frozen=True, slots=True)
class Confined:
    """What `enter` proved by trying."""

    files: bool
    """Reading a file outside is denied."""
    network: bool
    """Connecting by TCP is denied."""
    landlock_abi: int


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def leave_network() -> bool:
    """Move to an empty network namespace if the system lets us; True when it did.

    Unlike Landlock this covers UDP and raw sockets too. Without root it takes a user namespace,
    which some distributions forbid.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    return bool(libc.unshare(flags) == 0)


def enter(confinement: Confinement) -> Confined:
    """Give up everything but computing and reading. Raises SandboxError if anything fails.

    Call with one thread: Landlock binds threads, not processes.
    """
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 the count, not paths
    if threads != 1:
        raise SandboxError(f"{threads} threads are running")
    try:
        _limit(confinement)
        _drop_capabilities()
        version = landlock.restrict((*_own_reads(), *confinement.readable))
    except OSError as error:
        raise SandboxError(f"the kernel refused: {error}") from error
    confined = Confined(not _can_read(_OUTSIDE), not _can_connect(), version)
    if not confined.files:
        raise SandboxError("files outside can still be read")
    if not confined.network:
        raise SandboxError("connections can still be made")
    return confined


def sandbox_support() -> dict[str, object]:
    """What this machine offers, for `plaza doctor`. Nothing here changes the process."""
    version = landlock.abi()
    namespace = _namespaces_allowed()
    return {
        "landlock_abi": version,
        "files_denied": version >= 1,
        "tcp_denied": version >= 4 or namespace,
        "signals_denied": version >= 6,
        "network_namespace": namespace,
        "capabilities_dropped": platform.machine() in _CAPSET,
        "usable": version >= 4 or (version >= 1 and namespace),
    }


def _namespaces_allowed() -> bool:
    """Ask a process of its own, because entering a namespace cannot be undone."""
    question = "import sys; from plaza_accel.sandbox import leave_network as f; sys.exit(not f())"
    return subprocess.run([sys.executable, "-c", question], check=False).returncode == 0  # noqa: S603 constant


def _limit(confinement: Confinement) -> None:
    cpu = confinement.cpu_seconds
    for kind, soft, hard in (
        (resource.RLIMIT_AS, confinement.memory_bytes, confinement.memory_bytes),
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, 64, 64),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(kind, (soft, hard))


def _drop_capabilities() -> None:
    """Empty all three capability sets, which matters when the hub runs as root."""
    number = _CAPSET.get(platform.machine())
    if number is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    if libc.syscall(number, header, bytes(24)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _own_reads() -> Sequence[Path]:
    """The interpreter, its packages, and the system's libraries: late imports and plug-ins."""
    own = {Path(sys.prefix), Path(sys.base_prefix), *(Path(entry) for entry in sys.path if entry)}
    own |= {path.resolve() for path in own}
    return (*_SYSTEM_READS, *sorted(own))


def _can_read(path: Path) -> bool:
    with contextlib.suppress(OSError):
        path.open("rb").close()
        return True
    return False


def _can_connect() -> bool:
    """Whether a connection is even tried: a refused one would mean that the network is there."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.settimeout(1)
        try:
            probe.connect(("127.0.0.1", 9))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return True
