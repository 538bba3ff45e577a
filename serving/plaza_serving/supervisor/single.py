"""One supervisor per state directory: the lock, and how others find who holds it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plaza_core.errors import Conflict
from plaza_serving.supervisor.process import Identity, boot_id, look


@contextmanager
def only_one(run: Path) -> Iterator[None]:
    """Hold the lock in `run`. Raises Conflict, naming the holder, when somebody else does.

    The kernel releases it with the process, so a killed supervisor leaves nothing to clean up.
    """
    with (run / "supervisor.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = holder(run)
            who = f"pid {owner.pid}" if owner else "another process that is just starting"
            raise Conflict(f"this hub is running already ({who})") from None
        me = look(os.getpid())
        assert me is not None
        record = {"boot": boot_id(), "pid": me.pid, "started": me.identity.started}
        path = run / "supervisor.json"
        path.write_text(json.dumps(record))
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def holder(run: Path) -> Identity | None:
    """The living supervisor of this installation."""
    try:
        record = json.loads((run / "supervisor.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    identity = Identity(record["pid"], record["started"])
    return identity if record["boot"] == boot_id() and identity.alive() else None
