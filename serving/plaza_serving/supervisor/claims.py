"""Which ports are somebody's: those listened on, and those claimed by who will listen in seconds.

Two hubs that start together would both find a port free. So each claims its ports first. A claim is
an abstract Unix socket named after what is claimed: like a port it belongs to one process of all
users in a network namespace, and the kernel gives it back with that process.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from plaza_core.errors import Conflict
from plaza_serving.supervisor.process import command_line, table
from plaza_serving.supervisor.sockets import held, owners

_NAME, _INODE = 7, 6
"""Columns of the kernel's table of Unix sockets."""


def claim(what: str) -> socket.socket | None:
    """Claims `what` until the answer is closed; None where somebody else has it."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        made.bind(f"\0plaza/{what}")
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return made


@contextmanager
def claimed(ports: Mapping[int, str]) -> Iterator[None]:
    """Have ports (with what each is for) to oneself. Raises Conflict for those of another hub."""
    with ExitStack() as until:
        refused = []
        for port in ports:
            if made := claim(_port(port)):
                until.enter_context(closing(made))
            else:
                refused.append(port)
        if refused:
            inodes = _claims()
            _refuse({port: inodes.get(_port(port)) for port in refused}, ports)
        yield


def require_free(ports: Mapping[int, str]) -> None:
    """Raises Conflict where somebody listens on one of these ports."""
    taken = held(ports)
    if taken:
        _refuse({port: found[0].inode for port, found in taken.items()}, ports)


def _refuse(taken: Mapping[int, int | None], ports: Mapping[int, str]) -> None:
    """Names each port and who holds its socket, as far as this user may know."""
    by = owners(table())
    lines = []
    for port, inode in sorted(taken.items()):
        pid = None if inode is None else by.get(inode)
        who = f"pid {pid}, {' '.join(command_line(pid)[:2])}" if pid else "another user's process"
        lines.append(f"port {port} ({ports[port]}) is taken by {who}")
    raise Conflict("; ".join(lines))


def _port(port: int) -> str:
    return f"port-{port}"


def _claims() -> dict[str, int]:
    """What is claimed now -> the socket's inode."""
    rows = (line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    prefix = "@plaza/"
    return {
        row[_NAME].removeprefix(prefix): int(row[_INODE])
        for row in rows
        if len(row) > _NAME and row[_NAME].startswith(prefix)
    }
