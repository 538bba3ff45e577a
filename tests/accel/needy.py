"""A provider for tests: the CPU by another name, which states needs and tells what it could reach.

`needy_told`, written by the test, says what it needs and what else it tries. Asked for its version
it tries all of it, in the child where it is asked, and answers with what came of it.
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

from plaza_accel import cpu
from plaza_accel.needs import Needs
from plaza_accel.provider import Versions

_TCGETS = 0x5401
"""A command of terminals: a driver that is asked says that it is none."""
_GB = 1 << 30


def attempt(action: Callable[[], Any]) -> str:
    """`done`, or the name of the error."""
    try:
        action()
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


def tried() -> dict[str, str]:
    told = needy_told
    found = {f"read {k}": attempt(Path(p).read_bytes) for k, p in told.READ.items()}
    found |= {
        f"write {k}": attempt(lambda p=p: Path(p).write_bytes(b"x")) for k, p in told.READ.items()
    }
    found |= {f"use {device}": attempt(lambda d=device: exchange(d)) for device in told.DEVICES}
    found |= {f"command {device}": attempt(lambda d=device: command(d)) for device in told.DEVICES}
    found |= {
        "connect": attempt(connect),
        "reserve 64 GB": attempt(reserve),
        "fill 4 GB": attempt(lambda: bytearray(4 * _GB)),
        "variables": ",".join(sorted(name for name in os.environ if name.startswith("NEEDY"))),
    }
    return found


@dataclass(frozen=True)
class NeedyProvider(cpu.CpuProvider):
    name = "needy"
    needs = Needs(**needy_told.NEEDS)

    def versions(self) -> Versions:
        return Versions(json.dumps(tried()), cpu.provider.versions().runtime)


provider = NeedyProvider()
