"""A provider for tests: the CPU by another name, which states needs and tells what it could reach.

`needy_told`, written by the test, says what it needs and what else it tries. Asked for its version
it tries all of it, in the child where it is asked, and answers with what it reached.
"""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import needy_told

from plaza_accel.contract.needs import Needs
from plaza_accel.contract.provider import Versions
from plaza_accel.providers import cpu

_TCGETS = 0x5401
"""A command of terminals: a driver that is asked says that it is none."""
_GB = 1 << 30
DENIALS = frozenset({"EACCES", "EPERM", "ENOMEM"})


def attempt(action: Callable[..., Any], *arguments: object) -> str:
    """`done`, or the name of the error."""
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")
    except MemoryError:
        return "ENOMEM"
    return "done"


def exchange(device: str) -> None:
    descriptor = os.open(device, os.O_RDWR)
    try:
        os.read(descriptor, 1)
        os.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def command(device: str) -> None:
    with Path(device).open("rb", buffering=0) as opened:
        fcntl.ioctl(opened, _TCGETS, bytes(64))


def connect() -> None:
    with socket.create_connection(("127.0.0.1", 9), timeout=1):
        pass


def reserve() -> None:
    mmap.mmap(-1, 64 * _GB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0).close()


def fill() -> None:
    """Memory to write to; that it is asked for is what counts."""
    mmap.mmap(-1, 4 * _GB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()


def tried() -> dict[str, str]:
    found = {}
    for name, path in needy_told.PATHS.items():
        found[f"read {name}"] = attempt(Path(path).read_bytes)
        found[f"write {name}"] = attempt(Path(path).write_bytes, b"x")
    for name in needy_told.DEVICES:
        found[f"use {name}"] = attempt(exchange, f"/dev/{name}")
        found[f"command {name}"] = attempt(command, f"/dev/{name}")
    found |= {"connect": attempt(connect), "reserve": attempt(reserve), "fill": attempt(fill)}
    found |= {name: "seen" for name in sorted(os.environ) if name.startswith("NEEDY")}
    return found


def reached() -> dict[str, str]:
    """Without what was denied, because there is little room in a version."""
    return {what: how for what, how in tried().items() if how not in DENIALS}


@dataclass(frozen=True)
class NeedyProvider(cpu.CpuProvider):
    name = "needy"
    needs = Needs(**needy_told.NEEDS)

    def versions(self) -> Versions:
        return Versions(
            json.dumps(reached(), separators=(",", ":")), cpu.provider.versions().runtime
        )


provider = NeedyProvider()
