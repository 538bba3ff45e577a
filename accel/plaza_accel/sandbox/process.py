"""Starting a child that is trusted with nothing: clean environment, bounded time, bounded answers.

The request goes in as one JSON document on standard input; answers come out as JSON lines. What
the child says is data of an unknown sender, also when it was our own code that wrote it.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

MAX_ANSWER: Final = 256 * 1024
"""Bytes of standard output that are read before the child is killed."""

_EXIT_S: Final = 2.0
"""What a child that has closed its output may take beyond its time to be gone."""
_LOOK_AGAIN_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended, and the JSON objects it wrote until then."""

    answers: tuple[Mapping[str, Any], ...]
    returncode: int
    timed_out: bool
    overflowed: bool

    @property
    def signal(self) -> int | None:
        """The signal that ended it, unless we sent that; not all that there are have a name."""
        if self.returncode >= 0 or self.timed_out or self.overflowed:
            return None
        return -self.returncode


def run_child(
    module: str,
    request: Mapping[str, Any],
    *,
    timeout_s: float,
    busy_s: float = 0.0,
    python: str = sys.executable,
    pass_fds: Sequence[int] = (),
    variables: Mapping[str, str] | None = None,
) -> Ended:
    """Run `python -m module`, give it `request`, and return when it has ended or was killed.

    Where the machine is busy with others it has as much longer than `timeout_s` as it was ready to
    run and had no processor, but not longer than `busy_s`. It inherits the descriptors `pass_fds`,
    by their numbers, and no others. Of its environment, `variables` are all that is not ours.
    """
    with tempfile.TemporaryFile() as stdin:
        stdin.write(json.dumps(request).encode())
        stdin.seek(0)
        child = subprocess.Popen(  # noqa: S603 our own module, by an interpreter of the settings
            [python, "-P", "-s", "-B", "-m", module],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # native text, of no bounded size
            env={**(variables or {}), **_environment(python)},
            cwd="/",
            start_new_session=True,
            pass_fds=pass_fds,
        )
        assert child.stdout is not None
        complete = False
        try:
            written, complete = _read(child.stdout, _Time(child.pid, timeout_s, busy_s))
        finally:
            child.stdout.close()
            if child.poll() is None and not (complete and _exits_soon(child)):
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    overflowed = len(written) > MAX_ANSWER
    return Ended(
        answers=_objects(written[:MAX_ANSWER]),
        returncode=child.returncode,
        timed_out=not complete and not overflowed,
        overflowed=overflowed,
    )


def _environment(python: str) -> dict[str, str]:
    """Nothing of ours: no credential, no proxy, no setting of a library."""
    env = {
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    # Another environment's interpreter finds its own packages.
    if python == sys.executable and "PYTHONPATH" in os.environ:
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return env


class _Time:
    """How long a child may still take."""

    def __init__(self, process: int, timeout_s: float, busy_s: float) -> None:
        self._process = process
        self._began = time.monotonic()
        self._timeout_s = timeout_s
        self._busy_s = max(busy_s, timeout_s)

    def left(self) -> float:
        allowed = min(self._timeout_s + _waited_s(self._process), self._busy_s)
        return self._began + allowed - time.monotonic()


def _waited_s(process: int) -> float:
    """Seconds for which its first thread was ready to run and had no processor: the kernel's count.

    More threads that a child starts to compete with itself are held by its processor time.
    """
    try:
        counted = Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()
        return int(counted[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0  # a kernel that does not count


def _read(stream: IO[bytes], time_left: _Time) -> tuple[bytes, bool]:
    """(what was written, whether the end was reached) in time, and by the size limit."""
    written = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while len(written) <= MAX_ANSWER:
            left = time_left.left()
            if left <= 0:
                return bytes(written), False
            if not selector.select(max(left, _LOOK_AGAIN_S)):
                continue
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                return bytes(written), True
            written += chunk
    return bytes(written), False


def _exits_soon(child: subprocess.Popen[bytes]) -> bool:
    """A child that closed its output is ending, on a busy machine slowly (seen: over 0.5 s)."""
    try:
        child.wait(timeout=_EXIT_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _objects(written: bytes) -> tuple[Mapping[str, Any], ...]:
    """The lines that are JSON objects; left out is a torn or foreign line, and one that no store
    could keep: text that is no Unicode, a number that is none, nesting without end."""
    found = []
    for line in written.splitlines():
        try:
            value = json.loads(line)
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return tuple(found)
