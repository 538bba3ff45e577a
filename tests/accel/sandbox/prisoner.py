"""Run as a sandboxed child by the tests: tries what must fail and reports what happened.

The request says where things are and whether to enter the sandbox at all (the control).
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from plaza_accel.sandbox.confinement import Confinement, enter


def attempt(action: Callable[[], object]) -> str:
    """`done`, or the name of the error."""
    try:
        action()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "done"


def execute() -> None:
    """Replace a fork of this process by another program."""
    child = os.fork()
    if child == 0:
        try:
            os.execv("/bin/true", ["true"])
        except OSError:
            os._exit(99)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 99:
        raise PermissionError


def send(kind: int, address: tuple[str, int] | str) -> None:
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET, kind) as s:
        s.settimeout(5)
        s.connect(address)
        s.send(b"x")


def fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def call(number: int, *arguments: int) -> None:
    """By its number on x86-64. A plain integer would fill half of its place on the stack."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(*map(ctypes.c_long, (number, *arguments))) < 0:
        raise OSError(ctypes.get_errno(), f"call {number}")


def listen() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))


def trace(process: int) -> None:
    """PTRACE_ATTACH, then let go."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, process, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(process, 0)
    libc.ptrace(17, process, None, None)


def main() -> None:
    request = json.loads(sys.stdin.read())
    bundle, outside = Path(request["bundle"]), Path(request["outside"])
    if request["confined"]:
        enter(Confinement((bundle,), 1 << 30, 10))
    attempts: dict[str, Callable[[], object]] = {
        "read the bundle": (bundle / "model.onnx").read_bytes,
        "read a file outside": outside.read_bytes,
        "read /etc/passwd": Path("/etc/passwd").read_bytes,
        "read through a link in the bundle": (bundle / "link").read_bytes,
        "list /": lambda: list(Path("/").iterdir()),
        "write to the bundle": lambda: (bundle / "new").write_bytes(b"x"),
        "write outside": lambda: outside.write_bytes(b"x"),
        "truncate outside": lambda: os.truncate(outside, 0),
        "make a directory": (outside.parent / "made").mkdir,
        "delete outside": (outside.parent / "victim").unlink,
        "execute": execute,
        "connect by TCP": lambda: send(socket.SOCK_STREAM, ("127.0.0.1", request["tcp"])),
        "send by UDP": lambda: send(socket.SOCK_DGRAM, ("127.0.0.1", request["udp"])),
        "listen": listen,
        "abstract socket": lambda: send(socket.SOCK_STREAM, "\0" + request["abstract"]),
        "socket by path": lambda: send(socket.SOCK_STREAM, str(outside.parent / "socket")),
        "fork": fork,
        "signal the parent": lambda: os.kill(os.getppid(), 0),
        "trace another process": lambda: trace(request["other"]),
        "read another's memory": lambda: call(310, request["other"], 0, 0, 0, 0, 0),
        "look up a process": lambda: os.close(os.pidfd_open(request["other"])),
        "take 4 GB": lambda: bytearray(4 << 30),
        "open 100 files": lambda: [os.dup(0) for _ in range(100)],
    }
    if not request["confined"]:
        del attempts["take 4 GB"], attempts["open 100 files"]
    for name, action in attempts.items():
        os.write(1, json.dumps({"tried": name, "result": attempt(action)}).encode() + b"\n")


if __name__ == "__main__":
    main()
