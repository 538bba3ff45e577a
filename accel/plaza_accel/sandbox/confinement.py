"""What a child process gives up before it touches bytes nobody trusts.

Order inside the child: `enter`, then import what is heavy. It wants a process of one thread, and
ONNX Runtime and BLAS start threads when they are imported; started afterwards, those inherit what
was given up. Works without root and without containers. Files are closed by Landlock; the network
by an empty namespace, by Landlock or by the filter on system calls, whichever the machine has;
`enter` proves both by trying what must fail, and what succeeded before.

When the hub runs as root each child gets a user number that nobody else has, so that limits on
threads count and signals reach nobody. For files it stays the owner of the bundle, without root's
powers: bundles lie in directories closed to everyone else, and Landlock says which may be read.
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
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plaza_accel.sandbox import landlock, seccomp
from plaza_accel.sandbox.process import run_child

_PR_SET_PDEATHSIG: Final = 1
_PR_GET_PDEATHSIG: Final = 2
_PR_SET_SECUREBITS: Final = 28
_NO_SETUID_FIXUP: Final = 1 << 2
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}
_OUTSIDE: Final = Path("/etc/passwd")
"""A file that exists everywhere, is readable by everyone and belongs to no bundle."""

_FIRST_OWN_USER: Final = 0x70000000
"""User numbers for children begin here; with the process number added they are unique."""
_DISCARD_PORT: Final = 9
_FILES: Final = 64
_FILES_WITH_DEVICES: Final = 1024
"""Open at a time. A driver opens its device anew for each mapping of it (gVisor's proposal for
NVIDIA's driver describes that)."""

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
    """Address space, the interpreter's included; without `limit_addresses`, memory of the process
    itself that it can write to."""
    cpu_seconds: int
    file_bytes: int = 0
    """Size to which it may write a file that it was given open; it can open none to write."""
    threads: int = 256
    """Of this process; holds only where the child got a user of its own (the hub runs as root)."""
    devices: tuple[Path, ...] = ()
    """Device files that it may read, write and command."""
    limit_addresses: bool = True


@dataclass(frozen=True, slots=True)
class Confined:
    """What holds for this process from now on; the first two were proved by trying."""

    files: bool
    """Reading, listing and writing outside are denied."""
    network: bool
    """Connecting by TCP and sending by UDP are denied."""
    landlock_abi: int
    calls: bool = False
    """The filter on system calls is in place."""
    own_user: bool = False
    namespace: bool = False
    """The network is an empty namespace."""


def enter(confinement: Confinement) -> Confined:
    """Give up everything but computing and reading, and end when the parent does. Raises
    SandboxError if anything fails.

    Call with one thread: Landlock binds threads, not processes.
    """
    confined = confine(confinement)
    if not confined.files:
        raise SandboxError("files outside can still be reached")
    if not confined.network:
        raise SandboxError("the network can still be reached")
    return confined


def confine(confinement: Confinement) -> Confined:
    """As `enter`, but missing denials are told, not raised: what can be had is in place."""
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 the count, not paths
    if threads != 1:
        raise SandboxError(f"{threads} threads are running")
    namespace = _leave_network()
    _die_with_parent()  # after the namespace: gaining its capabilities clears the request
    if not _files_reachable():
        raise SandboxError("nothing outside can be reached even before, so nothing is proved")
    try:
        own_user = _become_nobody_else(confinement.devices)
        _limit(confinement, own_user=own_user)
        _drop_capabilities()
        landlock.no_new_privileges()
        version = landlock.abi()
        if version:
            landlock.restrict((*_own_reads(), *confinement.readable), confinement.devices)
    except OSError as error:
        raise SandboxError(f"the kernel refused: {error}") from error
    calls = seccomp.deny()
    return Confined(
        not _files_reachable(),
        not _network_reachable(),
        version,
        calls=calls,
        own_user=own_user,
        namespace=namespace,
    )


def sandbox_support(python: str = sys.executable) -> dict[str, object]:
    """What this machine offers, proved by a child that gives itself up; for `plaza doctor`."""
    ended = run_child("plaza_accel.sandbox.selftest", {}, timeout_s=30, python=python)
    said = ended.answers[-1] if ended.answers else {}
    found = said.get("confined")
    facts = found if isinstance(found, dict) else {}
    abi = facts.get("landlock_abi", 0)
    files, network = facts.get("files") is True, facts.get("network") is True
    support = {
        "landlock_abi": abi,
        "files_denied": files,
        "network_denied": network,
        "signals_denied": abi >= 6,
        "network_namespace": facts.get("namespace") is True,
        "system_calls_filtered": facts.get("calls") is True,
        "own_user": facts.get("own_user") is True,
        "capabilities_dropped": platform.machine() in _CAPSET,
        "usable": files and network,
    }
    if not facts:
        support["why"] = str(said.get("unconfined", "the self-test gave no answer"))[:200]
    return support


def _die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _leave_network() -> bool:
    """Move to an empty network namespace if the system lets us; True when it did.

    Unlike Landlock this covers UDP and raw sockets too. Without root it takes a user namespace,
    which some distributions forbid.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    return bool(libc.unshare(flags) == 0)


def _become_nobody_else(devices: Sequence[Path]) -> bool:
    """A user number of its own for this process if it is root's; True when it has one.

    The number that counts for files stays root's (an own call of Linux); the capabilities that
    come with that are dropped next. What it keeps of groups are those that open `devices`: root
    without its powers does not get past the mode of a file.
    """
    if os.geteuid() != 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # Without this a change of user takes the power to set the number for files.
    if libc.prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP, 0, 0, 0) != 0:
        return False
    dies = ctypes.c_int(0)
    libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(dies), 0, 0, 0)
    own = _FIRST_OWN_USER + os.getpid()
    groups = sorted({device.stat().st_gid for device in devices})
    try:
        os.setgroups(groups)
        os.setresuid(own, own, own)
    except OSError:
        return False  # a container that knows no such number
    libc.setfsuid(0)
    if dies.value:
        _die_with_parent()  # the change of user cleared it
    return True


def _limit(confinement: Confinement, *, own_user: bool) -> None:
    cpu = confinement.cpu_seconds
    if own_user:  # elsewhere it counts all processes of that user
        resource.setrlimit(resource.RLIMIT_NPROC, (confinement.threads, confinement.threads))
    memory = resource.RLIMIT_AS if confinement.limit_addresses else resource.RLIMIT_DATA
    files = _FILES_WITH_DEVICES if confinement.devices else _FILES
    for kind, soft, hard in (
        (memory, confinement.memory_bytes, confinement.memory_bytes),
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_FSIZE, confinement.file_bytes, confinement.file_bytes),
        (resource.RLIMIT_NOFILE, files, files),
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


def _files_reachable() -> bool:
    """Whether a file outside can be read, a directory listed, or a device written to."""
    return any(
        _succeeds(attempt)
        for attempt in (
            lambda: _OUTSIDE.open("rb").close(),
            lambda: os.listdir("/"),  # noqa: PTH208 the call itself is what is tried
            lambda: os.close(os.open(os.devnull, os.O_WRONLY)),
        )
    )


def _network_reachable() -> bool:
    """Whether a connection is even tried (a refused one would mean that the network is there), or
    a datagram leaves."""

    def connect() -> None:
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            probe.settimeout(1)
            with contextlib.suppress(ConnectionRefusedError):
                probe.connect(("127.0.0.1", _DISCARD_PORT))

    def send() -> None:
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
            probe.sendto(b"", ("127.0.0.1", _DISCARD_PORT))

    return _succeeds(connect) or _succeeds(send)


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True
