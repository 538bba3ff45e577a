"""Single processes: their identity, signals that cannot hit a stranger, start and adoption.

A pid is reused; a pid together with its start time and the boot is not. Signals go through a pidfd
that was opened before the start time was compared, so that no reuse can slip in between.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for as long as this boot lasts."""

    pid: int
    started: int
    """Clock ticks after boot; unlike a wall-clock time it never shifts."""

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        seen = look(self.pid)
        return seen is not None and seen.identity == self and seen.state not in "ZX"

    def signal(self, number: int) -> bool:
        """Send; False when it is gone already."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True


@dataclass(frozen=True, slots=True)
class Seen:
    """One line of the process table."""

    identity: Identity
    parent: int
    state: str
    name: str

    @property
    def pid(self) -> int:
        return self.identity.pid


def look(pid: int) -> Seen | None:
    """What /proc says of `pid`, None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in parentheses and may contain anything, also parentheses and spaces.
    end = text.rindex(")")
    fields = text[end + 2 :].split()
    name = text[text.index("(") + 1 : end]
    return Seen(Identity(pid, int(fields[19])), int(fields[1]), fields[0], name)


def pids() -> frozenset[int]:
    """Of all processes of the machine."""
    names = os.listdir("/proc")  # noqa: PTH208 names will do
    return frozenset(int(name) for name in names if name.isdigit())


def table() -> dict[int, Seen]:
    """All processes of the machine."""
    return {pid: seen for pid in pids() if (seen := look(pid)) is not None}


def command_line(pid: int) -> tuple[str, ...]:
    """Empty for a process that is gone or has none."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return tuple(part.decode(errors="replace") for part in raw.split(b"\0") if part)


def descendants(roots: Iterable[int], processes: Mapping[int, Seen]) -> set[int]:
    """Pids below `roots`, without them."""
    children: dict[int, list[int]] = {}
    for seen in processes.values():
        children.setdefault(seen.parent, []).append(seen.pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def adopt_orphans() -> None:
    """From now on descendants whose parent dies become children of this process, not of init."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def spawn(
    argv: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    *,
    dies_with_parent: bool,
    nicer: int = 0,
) -> Identity:
    """Start `argv` in a session of its own (a terminal's Ctrl-C does not reach it).

    `dies_with_parent`: the kernel sends it SIGTERM when this process dies, however it dies. Must be
    called on the main thread, because the kernel means the thread that forked.

    `nicer`: niceness of the whole session (0 to 19), where the kernel divides processors by session
    first (`_yield`).
    """

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 our own programs, no shell
            list(argv),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare if dies_with_parent else None,  # noqa: PLW1509 one prctl, no locks
        )
    if nicer:
        _yield(process.pid, nicer)
    # The supervisor waits for its children itself, adopted ones too (see `collect`). Popen must
    # neither wait a second time nor complain that nobody did.
    process.returncode = 0
    seen = look(process.pid)
    assert seen is not None, "a child stays in the table until it is waited for"
    return seen.identity


def _yield(session: int, niceness: int) -> None:
    """Where processes have no cgroup of their own, Linux divides processors by session (autogroup,
    see sched(7)), and the niceness of a process counts only inside of its session."""
    # Without autogroups there is nothing to say; others than root may say it 10 times a second,
    # all programs together, and who comes too late has what it had without.
    with contextlib.suppress(OSError):
        Path(f"/proc/{session}/autogroup").write_text(str(niceness))


def dead_child() -> bool:
    """Whether a child is dead that nobody has waited for."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def collect(identity: Identity) -> int | None:
    """Wait for a child without blocking: its status (negative: the signal), None if it runs on.

    A process that is not a child, or was collected before, counts as gone with status 0.
    """
    try:
        pid, status = os.waitpid(identity.pid, os.WNOHANG)
    except ChildProcessError:
        return None if identity.alive() else 0
    return os.waitstatus_to_exitcode(status) if pid else None
