"""Who listens where: the kernel's socket tables, joined with processes."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening TCP socket."""

    address: Address
    port: int
    inode: int

    @property
    def local(self) -> bool:
        """Reachable from this machine only."""
        return self.address.is_loopback


def listeners() -> list[Listener]:
    """All listening TCP sockets of this network namespace."""
    return [
        listener
        for name in ("tcp", "tcp6")
        if (path := Path("/proc/net") / name).exists()
        for listener in _parse(path.read_text())
    ]


def _parse(text: str) -> Iterable[Listener]:
    for line in text.splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTEN:
            address, port = fields[1].split(":")
            yield Listener(_address(address), int(port, 16), int(fields[9]))


def _address(text: str) -> Address:
    """The kernel writes addresses as 32-bit words in the machine's byte order."""
    words = (int(text[i : i + 8], 16) for i in range(0, len(text), 8))
    raw = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    if len(raw) == 4:
        return ipaddress.IPv4Address(raw)
    address = ipaddress.IPv6Address(raw)
    return address.ipv4_mapped or address


def owners(pids: Iterable[int]) -> dict[int, int]:
    """Socket inode -> pid, for the processes this user may look into."""
    return {inode: pid for pid, inode in _open(pids)}


def holders(port: int, pids: Iterable[int]) -> set[int]:
    """Those of `pids` that have a socket open on which `port` is listened to: it may be shared."""
    inodes = {one.inode for one in held([port]).get(port, ())}
    return {pid for pid, inode in _open(pids) if inode in inodes}


def _open(pids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(pid, inode) of each open socket."""
    for pid in pids:
        try:
            for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 a list, nothing to close
                target = os.readlink(f"/proc/{pid}/fd/{name}")  # noqa: PTH115 thousands of them
                if target.startswith("socket:["):
                    yield pid, int(target[8:-1])
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue  # gone meanwhile, or another user's


def held(ports: Iterable[int]) -> dict[int, list[Listener]]:
    """Those of `ports` on which somebody listens."""
    wanted = set(ports)
    found: dict[int, list[Listener]] = {}
    for listener in listeners():
        if listener.port in wanted:
            found.setdefault(listener.port, []).append(listener)
    return found
