"""`python -m plaza_accel.cells.child`: the cell itself, from its start to its end.

Reads what it is for, gives up its rights, opens the bundle, then answers one call at a time on each
channel. The first message on the first channel asks how opening went.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from plaza_accel.sandbox.confinement import Confinement, SandboxError, enter

if TYPE_CHECKING:
    from plaza_accel.cells.mailbox import Mailbox
    from plaza_accel.cells.served import Served

_FOR_EVER: Final = 1 << 40
"""Seconds of processor time: a cell is held to deadlines, call by call."""
_MORE_THREADS: Final = 32
"""Beside one per channel: the one that stops runs, and what libraries of families start."""


def main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    os.dup2(1, 0)
    directory = Path(request["directory"])
    try:
        threads = len(request["channels"]) + _MORE_THREADS
        enter(Confinement((directory,), request["address_space"], _FOR_EVER, threads))
    except SandboxError:
        from plaza_accel.cells.cell import UNCONFINED

        os._exit(UNCONFINED)
    _serve(directory, request)


def _serve(directory: Path, request: dict[str, Any]) -> None:
    # Imported inside the sandbox: threads of libraries must be born there.
    from plaza_accel.cells.mailbox import Mailbox
    from plaza_accel.cells.served import Served

    served = Served(directory, request)
    for asked, answered, memory, cpu in request["channels"]:
        mailbox = Mailbox(memory, request["area"], parent=False)
        os.close(memory)
        arguments = (served, asked, answered, mailbox, cpu)
        threading.Thread(target=_answer, args=arguments, daemon=True).start()
    served.terminator.run()


def _answer(served: Served, asked: int, answered: int, mailbox: Mailbox, cpu: int) -> None:
    """While calls are short this thread stays on `cpu`, where its caller waits for it."""
    from plaza_accel.cells.mailbox import BRIEF_NS, Message, TooLarge

    sequence, anywhere, brief = 0, os.sched_getaffinity(0), False
    try:
        while os.read(asked, 1):
            began = time.monotonic_ns()
            sequence += 1
            answer = served.answer(mailbox.take(sequence))
            try:
                mailbox.post(sequence, answer)
            except TooLarge:
                mailbox.post(sequence, Message(_TOO_LARGE, (), answer.time_ns))
            os.write(answered, b"\1")
            if (time.monotonic_ns() - began < BRIEF_NS) is not brief:
                brief = not brief
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(0, {cpu} if brief else anywhere)
    finally:
        os._exit(0)  # the parent is gone, or this thread failed: there is nothing to save


_TOO_LARGE: Final = json.dumps(
    {"error": "model_failed", "message": "the answer is too large for a sandboxed model"}
).encode()


if __name__ == "__main__":
    main()
