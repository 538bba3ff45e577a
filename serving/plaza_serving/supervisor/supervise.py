"""Keeps the children of one node running: start, watch, reap, start again.

    start ──ready──▶ up ──a vital process dies, or it stays deaf──▶ reap ──backoff──▶ start …
                      └────────────────────── stop ──────────────▶ reap ──▶ gone

Deaths are seen through pidfds: at once, and without polling. A child's family is reaped as a whole
before its next incarnation starts, because an orphaned HAProxy would keep its ports.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from plaza_core.clock import Clock
from plaza_serving.supervisor.family import MARK, Families, Family, reap
from plaza_serving.supervisor.process import Identity, collect, command_line, spawn
from plaza_serving.supervisor.watch import Probe, answers, deaf, first, gone

_CENSUS_S = 1.0
_CENSUS_ANYWAY = 10
"""Every so many rounds, stirred or not: who came and went between two looks at /proc."""
_BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
_LONG_LIFE_S = 30.0
"""Who lived so long is started at once when it dies; the backoff is for what dies young."""


@dataclass(frozen=True, slots=True)
class Child:
    """What to run and how to tell that it lives."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    probe: Probe
    """Succeeds when it is ready to work."""
    vital: Sequence[str] = ()
    """Empty: the process of `argv` must live. Otherwise that process is a starter which exits with
    0, and of each of these programs (ends of paths) one descendant must live."""
    front: str = ""
    """The program (end of its path) that clients are connected to. After a crash it may finish what
    it has, then it is ended before the rest: with nobody behind it, it would cut clients off who
    were cut off already and came again."""
    front_grace_s: float = 1.0
    start_within_s: float = 60.0
    deaf_after_s: float = 30.0
    """Up, but without a successful probe for so long, it counts as dead."""
    grace_s: float = 3.0
    """From SIGTERM to SIGKILL when stopped on purpose; what crashed gets none."""
    nicer: int = 0
    """Niceness of all it is and starts, beside other sessions (see `process.spawn`)."""
    cover: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    """Entered while the family of a crashed child is reaped."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell the operator. `what`: starting, ready, died, stopped, stuck."""

    child: str
    what: str
    detail: str = ""
    seconds: float = 0.0


Announce = Callable[[Event], None]


class Supervisor:
    """Runs `children` until told to stop. Lives on the main thread (see `process.spawn`)."""

    def __init__(
        self, children: Sequence[Child], families: Families, clock: Clock, announce: Announce
    ) -> None:
        self._children = children
        self._families = families
        self._clock = clock
        self._announce = announce

    async def run(self, stop: asyncio.Event) -> None:
        """Returns after `stop` was set and every process is gone."""
        census = asyncio.create_task(self._census())
        try:
            async with asyncio.TaskGroup() as keepers:
                for child in self._children:
                    keepers.create_task(self._keep(child, stop))
        finally:
            census.cancel()

    async def _census(self) -> None:
        for round_ in itertools.count():
            if self._families.stirred() or round_ % _CENSUS_ANYWAY == 0:
                self._families.refresh()
                self._families.collect_dead()
            await asyncio.sleep(_CENSUS_S)

    async def _keep(self, child: Child, stop: asyncio.Event) -> None:
        young_deaths = 0
        while not stop.is_set():
            started_ns = self._clock.monotonic_ns()
            family = self._start(child)
            try:
                reason = await first(self._live(child, family), _told(stop))
            except asyncio.CancelledError:
                await self._end(family, 0.0)
                raise
            lived = self._since(started_ns)
            if stop.is_set():
                await self._end(family, child.grace_s)
                self._announce(Event(child.name, "stopped", seconds=lived))
                return
            self._announce(Event(child.name, "died", reason, lived))
            async with child.cover():
                if child.front:
                    await self._retire(family, child.front, child.front_grace_s)
                await self._end(family, 0.0)
            young_deaths = 0 if lived >= _LONG_LIFE_S else young_deaths + 1
            with suppress(TimeoutError):
                pause = _BACKOFF_S[min(young_deaths, len(_BACKOFF_S)) - 1] if young_deaths else 0.0
                await asyncio.wait_for(stop.wait(), pause)

    def _since(self, started_ns: int) -> float:
        return (self._clock.monotonic_ns() - started_ns) / 1e9

    def _start(self, child: Child) -> Family:
        self._announce(Event(child.name, "starting"))
        mark = f"{child.name}:{os.urandom(8).hex()}"
        leader = spawn(
            child.argv,
            {**child.environment, MARK: mark},
            child.log,
            # A starter leaves, and what it leaves behind does not inherit the arrangement.
            dies_with_parent=not child.vital,
            nicer=child.nicer,
        )
        family = Family(child.name, mark, leader, keeps_orphans=bool(child.vital))
        self._families.add(family)
        return family

    async def _live(self, child: Child, family: Family) -> str:
        """Returns why the child must be started again."""
        started_ns = self._clock.monotonic_ns()
        try:
            async with asyncio.timeout(child.start_within_s):
                failed, vital = await self._vital(child, family)
                deaths = [_death(one, name) for one, name in vital]
                failed = failed or await first(*deaths, _up(child.probe))
        except TimeoutError:
            return f"was not ready within {child.start_within_s:.0f} s, see {child.log.name}"
        if failed:
            return failed
        self._announce(Event(child.name, "ready", seconds=self._since(started_ns)))
        deaths = [_death(one, name) for one, name in vital]
        return await first(*deaths, _deafness(child, self._clock))

    async def _vital(self, child: Child, family: Family) -> tuple[str, list[tuple[Identity, str]]]:
        """(why there are none, the processes that must live and what to call them)."""
        if not child.vital:
            return "", [(family.leader, child.name)]
        await gone(family.leader)
        status = collect(family.leader)
        if status != 0:
            return f"start failed with status {status}, see {child.log.name}", []
        self._families.refresh()
        found = [
            (m, Path(p).name) for p in child.vital for m in family.members.values() if _runs(m, p)
        ]
        missing = {Path(p).name for p in child.vital} - {name for _, name in found}
        return (f"{', '.join(sorted(missing))} died during the start" if missing else ""), found

    async def _retire(self, family: Family, program: str, grace_s: float) -> None:
        """SIGUSR1 makes HAProxy stop listening, answer what is under way and leave."""
        self._families.refresh()
        fronts = [one for one in family.alive() if _runs(one, program)]
        for one in fronts:
            one.signal(signal.SIGUSR1)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                for one in fronts:
                    await gone(one)
        for one in fronts:
            one.signal(signal.SIGKILL)

    async def _end(self, family: Family, grace_s: float) -> None:
        """Reap the whole family; then nothing of it is left, or the operator hears of it."""

        def members() -> list[Identity]:
            self._families.refresh()
            return list(family.members.values())

        if await asyncio.to_thread(reap, members, grace_s):
            self._families.drop(family.name)
        else:
            left = ", ".join(str(one.pid) for one in family.alive())
            self._announce(Event(family.name, "stuck", f"cannot be ended: {left}"))


def _runs(one: Identity, program: str) -> bool:
    """Whether `program` is what it executes, itself or by an interpreter with one option."""
    return any(word.endswith(program) for word in command_line(one.pid)[:3] if word[:1] != "-")


async def _told(stop: asyncio.Event) -> str:
    await stop.wait()
    return ""


async def _death(one: Identity, name: str) -> str:
    await gone(one)
    status = collect(one)
    return f"{name} (pid {one.pid}) ended with status {status}"


async def _up(probe: Probe) -> str:
    await answers(probe)
    return ""


async def _deafness(child: Child, clock: Clock) -> str:
    await deaf(child.probe, child.deaf_after_s, clock)
    return f"did not answer for {child.deaf_after_s:.0f} s"
