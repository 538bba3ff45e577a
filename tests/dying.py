"""Processes that die on purpose: at their n-th step, or after some time, by SIGKILL.

A step is a chunk of content, a piece of a request's bytes, the wait for an answer, and every call
that Python audits: opening, renaming, deleting, connecting. Between two steps a process only
computes, so that dying before each of them is dying everywhere.
"""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator

_AUDITED = frozenset(
    {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.utime"}
    | {"shutil.rmtree", "http.client.connect", "sqlite3.connect"}
)
_PIECE = 64 << 10
FINISHED, FAILED = 0, 70


class Steps:
    """Counts the steps of this process and ends it before step number `last`."""

    def __init__(self, last: int | None) -> None:
        self.taken = 0
        self._last = last

    def __call__(self) -> None:
        if self.taken == self._last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.taken += 1

    def of(self, content: bytes, size: int) -> Iterator[bytes]:
        """Content in chunks of `size`, a step before each and one before the end."""
        for at in range(0, len(content), size):
            self()
            yield content[at : at + size]
        self()

    def watch(self) -> None:
        """Count what this process does from now on."""
        sys.addaudithook(lambda event, _: self() if event in _AUDITED else None)
        send, answer = http.client.HTTPConnection.send, http.client.HTTPConnection.getresponse

        def send_piece_by_piece(connection, data):
            pieces = [data] if not isinstance(data, bytes) else _cut(data)
            for piece in pieces:
                self()
                send(connection, piece)

        def wait(connection, *more):
            self()
            return answer(connection, *more)

        http.client.HTTPConnection.send = send_piece_by_piece
        http.client.HTTPConnection.getresponse = wait


def _cut(data: bytes) -> Iterable[bytes]:
    return [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]


Act = Callable[[Steps], None]


def steps_of(act: Act) -> int:
    """How many steps a whole `act` takes, in a process of its own."""
    reader, writer = os.pipe()

    def told(steps: Steps) -> None:
        act(steps)
        os.write(writer, str(steps.taken).encode())

    assert died(told, None) is False
    with os.fdopen(reader) as result:
        os.close(writer)
        return int(result.read())


def died(act: Act, last: int | None, *, after_s: float | None = None) -> bool:
    """Run `act` in a process that is killed before step `last`, or `after_s`; False: it finished.

    Raises AssertionError when it failed by itself.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child touches no other thread
        child = os.fork()
    if not child:
        _child(act, last)
    if after_s is not None:
        threading.Timer(after_s, _kill, (child,)).start()
    give_up = time.monotonic() + 60
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > give_up:
            _kill(child)
        time.sleep(0.001)
    code = os.waitstatus_to_exitcode(ended[1])
    assert code in {FINISHED, -signal.SIGKILL}, f"the process failed with {code}"
    return code != FINISHED


def _kill(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def _child(act: Act, last: int | None) -> None:
    try:
        steps = Steps(last)
        steps.watch()
        act(steps)
    except BaseException:  # noqa: BLE001 it is a process's end, and its status says so
        traceback.print_exc()
        os._exit(FAILED)
    os._exit(FINISHED)


def spread(total: int, wanted: int) -> list[int]:
    """At most `wanted` of the points 0 … total-1, the first and the last among them."""
    if total <= wanted:
        return list(range(total))
    return sorted({round(n * (total - 1) / (wanted - 1)) for n in range(wanted)})
