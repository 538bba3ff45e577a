"""A family that only tests open, in a cell: does what the first text of its task says.

What it is asked before the run is done in `prepare`, what it is asked to tell, in `interpret`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from plaza_core.errors import InvalidInput
from plaza_core.running import Prepared


def attempt(action: Callable[[], object]) -> str:
    """`done`, or the name of the error."""
    try:
        action()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "done"


def connect() -> None:
    with socket.socket() as s:
        s.settimeout(2)
        s.connect(("127.0.0.1", 9))


def fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def threads() -> int:
    """How many more can be had at once, of at most 300."""
    stop, had = threading.Event(), []
    try:
        for _ in range(300):
            thread = threading.Thread(target=stop.wait, daemon=True)
            thread.start()
            had.append(thread)
    except RuntimeError:
        pass
    finally:
        stop.set()
    return len(had)


def eat(step: int, pause_s: float) -> None:
    """Take memory, slowly or at once, until there is none."""
    held = []
    while True:
        held.append(bytearray(os.urandom(1) * step))
        time.sleep(pause_s)


def spin() -> None:
    def work() -> None:
        while True:
            sum(range(1000))

    threading.Thread(target=work, daemon=True).start()


def lie() -> None:
    """From here on every answer of this process is noise."""
    mailbox = sys.modules["plaza_accel.cells.mailbox"]

    def noise(area: Any, sequence: int, message: Any) -> int:
        area[:4096] = np.frombuffer(os.urandom(4096), np.uint8)
        return 4096

    mailbox.write = noise  # type: ignore[attr-defined]


def twist() -> None:
    """From here on every output has another datatype than the manifest says."""
    mailbox: Any = sys.modules["plaza_accel.cells.mailbox"]
    write = mailbox.write

    def twisted(area: Any, sequence: int, message: Any) -> int:
        arrays = [array.astype(np.int64) for array in message.arrays]
        return write(area, sequence, message._replace(arrays=arrays))

    mailbox.write = twisted


DO: dict[str, Callable[[], object]] = {
    "crash": lambda: signal.raise_signal(signal.SIGSEGV),  # to this thread: it goes no further
    "leave": lambda: os._exit(0),
    "hang": lambda: time.sleep(60),
    "linger": lambda: time.sleep(0.02),  # no short call any more
    "eat": lambda: eat(64 << 20, 0),
    "eat slowly": lambda: eat(4 << 20, 0.02),
    "spin": spin,
    "lie": lie,
    "twist": twist,
    "fail": lambda: 1 / 0,
}


def look() -> dict[str, Any]:
    """What this process has, and what it can reach."""
    descriptors = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 the names alone
        try:
            descriptors[name] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115 a magic link
        except OSError:
            continue  # the one that listed them
    return {
        "descriptors": descriptors,
        "environment": dict(os.environ),
        "cwd": str(Path.cwd()),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "read outside": attempt(Path("/etc/passwd").read_bytes),
        "write": attempt(lambda: Path("/tmp/inmate").write_bytes(b"x")),
        "connect": attempt(connect),
        "signal the parent": attempt(lambda: os.kill(os.getppid(), 0)),
        "fork": attempt(fork),
        "run a program": attempt(lambda: os.execv("/bin/true", ["true"])),
        "make a socket": attempt(lambda: socket.socket(socket.AF_UNIX).close()),
        "user": os.getuid(),
        "more threads": threads(),
    }


class Inmate:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def prepare(self, payload: Any) -> Prepared:
        command = payload.texts[0]
        if command == "refuse":
            raise InvalidInput("\x1b[31mno\n" + "x" * 1000, input="texts[0]")
        if command in DO:
            DO[command]()
        return Prepared({"x": np.full((1, 4), payload.top_k, np.float32)}, 1, context=command)

    def interpret(self, outputs: Any, context: str) -> Any:
        if context == "look":
            return look()
        return {"pid": os.getpid(), "sum": float(outputs["y"].sum())}


def open_family(directory: Path, manifest: Any, **options: Any) -> Inmate:
    if options.get("at_once"):
        DO[options["at_once"]]()
    return Inmate(directory)
