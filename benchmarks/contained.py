"""A model that goes wrong only at run time takes down nothing but its own cell, on a real hub.

One organisation has models that every examination passes and that crash, hang or hoard memory on
inputs it chooses (`benchmarks.unruly`). Beside it others ask on: one for a model of its own, which
is in a cell too, one for a public model in the replica.

python -m benchmarks.contained
"""

from __future__ import annotations

import json
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console

from benchmarks import exact, graphs, unruly
from benchmarks.chaos import Traffic
from benchmarks.hub import Hub, running_hub
from benchmarks.ledger import drift, entries
from benchmarks.waiting import reached
from plaza_core.tensors import DType

DEADLINE_MS = 700
LONG_MS = 5000
"""Deadline of the model whose runs take all workers of a default replica at once."""
_NOTICED_S = 1.0
"""A neighbour may be without an answer for so long meanwhile: patience, a look, busy processors."""
FIRST_OUT_S, SECOND_OUT_S = 60, 120
"""How long the first and the second quarantine last."""
_GRACE_S = 1.5
"""Beyond its deadline a run has half a second until its process is killed; the rest is the way."""
_CHILD = "plaza_accel.cells.child"
_WITHIN_S = 20.0
_TYPES = {int: DType.INT64, float: DType.FP32}
_ONE = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}

console = Console()


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: `ok` or its error's code, what it says of trying again, what it was charged."""

    model: str
    kind: str
    again_s: int | None
    charge: int | None
    value: float | None
    seconds: float
    request_id: str


@dataclass
class Sender:
    """Somebody who asks for one model, with nothing between them and the hub that tries again."""

    hub: Hub
    organisation: str
    key: str
    said: list[Said] = field(default_factory=list)

    def ask(self, model: str, **inputs: float) -> Said:
        tensors = [
            {"name": name, "shape": [1], "datatype": _TYPES[type(value)], "data": [value]}
            for name, value in inputs.items()
        ]
        begin = time.monotonic()
        answer = httpx.post(
            f"{self.hub.url}/v2/models/{model}/infer",
            json={"inputs": tensors},
            headers={"authorization": f"Bearer {self.key}"},
            timeout=30,
        )
        told = answer.json()
        ok = answer.status_code == httpx.codes.OK
        again, charge = answer.headers.get("retry-after"), answer.headers.get("x-plaza-charge")
        said = Said(
            model,
            "ok" if ok else told["code"],
            None if again is None else int(again),
            None if charge is None else int(charge),
            told["outputs"][0]["data"][0] if ok else None,
            round(time.monotonic() - begin, 3),
            answer.headers["x-request-id"],
        )
        self.said.append(said)
        return said

    def until(self, kind: str, model: str, **inputs: float) -> Said:
        """Ask until the answer is of `kind`, as a new model is not known everywhere at once."""
        give_up = time.monotonic() + _WITHIN_S
        while (said := self.ask(model, **inputs)).kind != kind and time.monotonic() < give_up:
            time.sleep(0.1)
        return said


@dataclass(frozen=True, slots=True)
class Scene:
    """Who takes part. Models of each belong to nobody else."""

    culprit: Sender
    neighbours: dict[str, Traffic]
    """In a cell, and in the replica."""
    models: dict[str, str]
    """What goes wrong -> the name of the culprit's model."""


@dataclass
class Found:
    """What one round saw; `wrong` says what is not as it must be."""

    neighbours: dict[str, dict[str, int]] = field(default_factory=dict)
    longest_gap_s: dict[str, float] = field(default_factory=dict)
    gap_beside_endless_s: dict[str, float] = field(default_factory=dict)
    answers: list[tuple[str, str, float]] = field(default_factory=list)
    """What the culprit asked, what it was told, seconds."""
    ledger: int = 0
    charged: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return not self.wrong

    def must(self, what: str, holds: bool, said: object = "") -> None:
        if not holds:
            self.wrong.append(f"{what}: {said}")


def set_up(hub: Hub, place: Path) -> Scene:
    """New organisations with their models; returns when all are served."""
    mark = secrets.token_hex(4)
    culprit, neighbour = (_organisation(hub, f"{who}-{mark}") for who in ("unruly", "neighbour"))
    made = {"crash": unruly.overflow(), "endless": unruly.turns(), "hoard": unruly.hoard()}
    made["long"] = unruly.turns()
    made["endless"].manifest["limits"]["deadline_ms"] = DEADLINE_MS
    made["long"].manifest["limits"]["deadline_ms"] = LONG_MS
    names = {}
    for what, graph in made.items():
        names[what] = graph.manifest["name"] = f"{what}-{mark}"
        client = hub.client(culprit.key)
        client.models.register(graph.write(place / names[what]))
    own, shared = graphs.tiny(seed=1), graphs.tiny(seed=2)
    own.manifest["name"], shared.manifest["name"] = f"own-{mark}", f"shared-{mark}"
    hub.client(neighbour.key).models.register(own.write(place / f"own-{mark}"))
    hub.admin.models.register(shared.write(place / f"shared-{mark}"), visibility="public")
    exact.all_know(hub)
    scene = Scene(
        culprit,
        {
            "in a cell": _traffic(hub, neighbour, f"own-{mark}"),
            "in the replica": _traffic(hub, neighbour, f"shared-{mark}"),
        },
        names,
    )
    culprit.until("ok", names["crash"], x=1)
    for what in ("endless", "long"):
        culprit.until("ok", names[what], turns=1, x=1.0)
    return scene


def crashes(scene: Scene, found: Found) -> None:
    """Twice the input that its processor ends it for, and it is out of service.

    Of all processes only its own may end.
    """
    model, ask = scene.models["crash"], scene.culprit.ask
    for number in (1, 2):
        found.must("it answers", (said := ask(model, x=number)).value == -number, said)
        before = cells(scene.culprit.hub)
        said = ask(model, x=unruly.LEAST)
        found.must("the crash is told", said.kind == "cell_died", said)
        found.must("it may be tried again", said.again_s == 1 and said.charge == 0, said)
        gone = before - cells(scene.culprit.hub)
        found.must("one process ended", len(gone) == 1, gone)
    said = ask(model, x=1)
    found.must("two crashes put it out", said.kind == "quarantined", said)
    found.must("and say how long", 0 < (said.again_s or 0) <= FIRST_OUT_S, said)
    found.must("for nothing", said.charge == 0, said)


def comes_back(scene: Scene, found: Found) -> None:
    """After its time it is on trial: it answers, and one crash puts it out for twice as long."""
    model, ask = scene.models["crash"], scene.culprit.ask
    said = ask(model, x=1)
    time.sleep((said.again_s or 0) + 0.5)
    found.must("it is tried again", (said := ask(model, x=3)).value == -3, said)
    found.must("on trial", (said := ask(model, x=unruly.LEAST)).kind == "cell_died", said)
    said = ask(model, x=1)
    out = said.kind == "quarantined" and FIRST_OUT_S < (said.again_s or 0) <= SECOND_OUT_S
    found.must("one more crash costs twice the time", out, said)


def never_ends(scene: Scene, found: Found) -> None:
    """A run without an end is stopped at its deadline; the process lives on."""
    model, ask = scene.models["endless"], scene.culprit.ask
    before = cells(scene.culprit.hub)
    said = ask(model, turns=2**62, x=1.0)
    found.must("the deadline is told", said.kind == "deadline_exceeded", said)
    on_time = DEADLINE_MS / 1000 <= said.seconds < DEADLINE_MS / 1000 + _GRACE_S
    found.must("in time", on_time, said)
    found.must("it answers", (said := ask(model, turns=3, x=1.0)).value == -1, said)
    found.must("from the same process", before <= cells(scene.culprit.hub))


def take_no_workers(scene: Scene, found: Found) -> None:
    """As many runs without an end as a default replica has workers, for as long as their owner
    lets them: the others are answered meanwhile."""
    model, ask = scene.models["long"], scene.culprit.ask
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(lambda _: ask(model, turns=2**62, x=1.0), range(2)))
    ended = time.monotonic()
    for each in said:
        found.must("the deadline is told", each.kind == "deadline_exceeded", each)
        late = LONG_MS / 1000 <= each.seconds < LONG_MS / 1000 + _GRACE_S
        found.must("in time", late, each)
    for who, traffic in scene.neighbours.items():
        gap = traffic.journal.longest_gap(began, ended)
        found.gap_beside_endless_s[who] = round(gap, 3)
        found.must(f"{who} it is answered meanwhile", gap < _NOTICED_S, gap)


def hoards(scene: Scene, found: Found) -> None:
    """Memory beyond its cap: the run fails, or the process is ended."""
    model, ask = scene.models["hoard"], scene.culprit.ask
    found.must("it answers", (said := ask(model, turns=2, size=10)).value == 0, said)
    said = ask(model, turns=400, size=30_000_000)
    found.must("the cap holds", said.kind in {"cell_died", "model_failed"}, said)
    found.must("it answers again", (said := ask(model, turns=2, size=10)).value == 0, said)


STEPS: tuple[Callable[[Scene, Found], None], ...] = (
    crashes,
    never_ends,
    take_no_workers,
    hoards,
)


def round_of(hub: Hub, place: Path, steps: Sequence[Callable[[Scene, Found], None]]) -> Found:
    """The steps one after the other, while the neighbours ask on; then the books."""
    scene, found = set_up(hub, place), Found()
    began = time.monotonic()
    with ExitStack() as asking:
        for traffic in scene.neighbours.values():
            asking.enter_context(traffic)
        for step in steps:
            step(scene, found)
    ended = time.monotonic()
    for who, traffic in scene.neighbours.items():
        journal = traffic.journal
        found.neighbours[who] = dict(journal.counts)
        found.longest_gap_s[who] = round(journal.longest_gap(began, ended), 3)
        found.must(f"{who} nothing is noticed", set(journal.counts) == {"ok"}, journal.counts)
    _audit(scene, found)
    found.answers = [(each.model, each.kind, each.seconds) for each in scene.culprit.said]
    return found


def _audit(scene: Scene, found: Found) -> None:
    """What was answered is in the ledger at its price, what was refused costs nothing."""
    culprit, hub = scene.culprit, scene.culprit.hub
    charges = {said.request_id: said.charge or 0 for said in culprit.said if said.kind == "ok"}

    def booked() -> bool:
        return charges.keys() <= entries(hub.state_dir, culprit.organisation).keys()

    reached(booked, _WITHIN_S)
    rows = entries(hub.state_dir, culprit.organisation)
    kinds = {said.request_id: said.kind for said in culprit.said}
    for id_, entry in rows.items():
        told, kind = charges.get(id_, 0), kinds.get(id_)
        found.must("booked as it was told", entry.outcome == kind, (kind, entry))
        if kind != "deadline_exceeded":  # it was running: charged what was measured
            found.must("charged as it was told", entry.charge == told, (told, entry))
    found.must("all answers are booked", charges.keys() <= rows.keys())
    found.ledger, found.charged = len(rows), sum(entry.charge for entry in rows.values())
    found.must("the books balance", not (report := drift(hub.state_dir)), report)


def cells(hub: Hub) -> frozenset[int]:
    """The processes in which versions run that nobody vouched for."""
    found = set()
    for process in hub.descendants():
        with suppress(psutil.Error):
            if _CHILD in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return frozenset(found)


def _organisation(hub: Hub, name: str) -> Sender:
    hub.admin.orgs.create(name)
    return Sender(hub, name, hub.admin.keys.create(name, role="engineer").key)


def _traffic(hub: Hub, sender: Sender, model: str) -> Traffic:
    headers = {"Authorization": f"Bearer {sender.key}", "Content-Type": "application/json"}
    body = json.dumps({"inputs": [_ONE]}).encode()
    return Traffic(exact.port(hub), f"/v2/models/{model}/infer", body, headers, 1)


def prove() -> dict[str, Any]:
    """All steps and the end of a quarantine, on one hub with budgets of time for each."""
    with tempfile.TemporaryDirectory(prefix="plaza-cells-") as scratch:
        place = Path(scratch)
        with running_hub(place / "state", **exact.SETTINGS) as hub:
            found = round_of(hub, place, (*STEPS, comes_back))
    return {**asdict(found), "held": found.held}


def main() -> int:
    result = prove()
    console.print_json(json.dumps(result))
    return 0 if result["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
