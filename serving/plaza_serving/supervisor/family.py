"""All processes of one child and how they end: who belongs to it, the record on disk, the reaping.

A child starts others, and its death orphans them: HAProxy outlives the actor that started it, and
`ray start` leaves on purpose. As subreaper the supervisor becomes their parent, so that none is
lost. Against its own violent death it writes everybody down; the next `plaza up` ends what is left.
Nothing is ever chosen by its name.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from plaza_serving.supervisor.process import (
    Identity,
    Seen,
    boot_id,
    collect,
    dead_child,
    descendants,
    look,
    pids,
    table,
)

MARK = "PLAZA_FAMILY"
"""Environment variable that a child hands to its descendants: name and a nonce."""
_POLL_S = 0.02


@dataclass(slots=True)
class Family:
    """One incarnation of one child. `members` holds every process ever seen in it and alive."""

    name: str
    mark: str
    leader: Identity
    keeps_orphans: bool
    members: dict[int, Identity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.members[self.leader.pid] = self.leader

    def alive(self) -> list[Identity]:
        return [one for one in self.members.values() if one.alive()]


class Families:
    """The supervisor's view of everything below it. Safe to use from several threads."""

    def __init__(self, record: Path) -> None:
        self._lock = threading.RLock()
        self._record = record
        self._boot = boot_id()
        self._me = os.getpid()
        self._others = {one.identity for one in table().values() if one.parent == self._me}
        """Children from before, such as those of a shell script that became this process by exec:
        they are nobody's orphans."""
        self._families: dict[str, Family] = {}
        self._written = ""
        self._pids: frozenset[int] = frozenset()

    def add(self, family: Family) -> None:
        """Followed and written down before it can have descendants worth losing."""
        with self._lock:
            self._families[family.name] = family
            self._write()

    def stirred(self) -> bool:
        """Whether a census would find anything new: since the last question somebody of ours has
        died, or one of ours has started somebody. A hundredth of what a census costs."""
        before, self._pids = self._pids, pids()
        with self._lock:
            ours = {pid for family in self._families.values() for pid in family.members}
        parents = ours | {self._me}
        return (
            dead_child()
            or not ours.isdisjoint(before - self._pids)
            or any((seen := look(pid)) and seen.parent in parents for pid in self._pids - before)
        )

    def refresh(self) -> None:
        """Take the census and write it down."""
        with self._lock:
            self._take(table())
            self._write()

    def _take(self, processes: dict[int, Seen]) -> None:
        claimed: set[int] = set()
        for family in self._families.values():
            family.members = {
                pid: one
                for pid, one in family.members.items()
                if pid in processes and processes[pid].identity == one
            }
            below = descendants(family.members, processes)
            family.members |= {pid: processes[pid].identity for pid in below}
            claimed |= family.members.keys()
        for pid, seen in processes.items():
            orphaned = seen.parent == self._me and pid not in claimed
            if orphaned and seen.identity not in self._others:
                self._adopt(seen, processes)

    def _adopt(self, orphan: Seen, processes: dict[int, Seen]) -> None:
        """An orphan that no census saw under its parent: its mark says whose it is.

        A process that rewrites its title also overwrites its environment as /proc shows it. Only
        Ray's processes do that, and only Ray's family leaves orphans behind.
        """
        marks = _marks(orphan.pid)
        for family in self._families.values():
            if family.mark in marks or (not marks and family.keeps_orphans):
                below = descendants([orphan.pid], processes)
                family.members[orphan.pid] = orphan.identity
                family.members |= {pid: processes[pid].identity for pid in below}
                return

    def drop(self, name: str) -> None:
        with self._lock:
            self._families.pop(name, None)
            self._write()

    def collect_dead(self) -> None:
        """Wait for dead members that became our children, so that no zombie stays.

        Leaders are left to their keeper, who wants to know their status.
        """
        with self._lock:
            for family in self._families.values():
                for identity in family.members.values():
                    if identity != family.leader and not identity.alive():
                        collect(identity)

    def _write(self) -> None:
        content = json.dumps(
            {
                "boot": self._boot,
                "families": [
                    {
                        "name": family.name,
                        "mark": family.mark,
                        "members": sorted([m.pid, m.started] for m in family.members.values()),
                    }
                    for family in self._families.values()
                ],
            },
            indent=1,
        )
        if content != self._written:
            fresh = self._record.with_suffix(".new")
            fresh.write_text(content)
            fresh.replace(self._record)
            self._written = content


def _marks(pid: int) -> frozenset[str]:
    """Values of MARK in the environment of `pid`; empty when hidden or gone."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return frozenset()
    start = f"{MARK}=".encode()
    return frozenset(
        part[len(start) :].decode(errors="replace")
        for part in raw.split(b"\0")
        if part.startswith(start)
    )


def leftovers(record: Path) -> list[Identity]:
    """Processes that a killed supervisor left running, with everything now below them."""
    if not record.exists():
        return []
    content = json.loads(record.read_text())
    if content["boot"] != boot_id():
        return []
    processes = table()
    found = {
        pid
        for family in content["families"]
        for pid, started in family["members"]
        if pid in processes and processes[pid].identity == Identity(pid, started)
    }
    marks = {family["mark"] for family in content["families"]}
    found |= {pid for pid in processes if marks & _marks(pid)}
    found |= descendants(found, processes)
    left = [processes[pid] for pid in found - {os.getpid()}]
    return [seen.identity for seen in left if seen.state not in "ZX"]


def reap(members: Callable[[], Iterable[Identity]], grace_s: float, kill_s: float = 4.0) -> bool:
    """SIGTERM, at most `grace_s` to leave, then SIGKILL. True when all are gone.

    `members` is asked again and again: who is dying may still start somebody. Blocks; the caller
    runs it in a thread when it has an event loop to keep turning.
    """
    told: set[Identity] = set()
    for number, until in (
        (signal.SIGTERM, time.monotonic() + grace_s),
        (signal.SIGKILL, time.monotonic() + grace_s + kill_s),
    ):
        told.clear()
        while time.monotonic() < until:
            left = [one for one in members() if collect(one) is None and one.alive()]
            if not left:
                return True
            for one in left:
                if one not in told:
                    told.add(one)
                    one.signal(number)
            time.sleep(_POLL_S)
    return not [one for one in members() if one.alive()]
