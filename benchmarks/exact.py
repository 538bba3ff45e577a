"""A budget for exactly 137 requests: 137 are answered, on any number of replicas.

per trial   a new organisation, project and key; every node has a budget, one of them (each in
            turn) for 137 requests, the others for more; price fixed by the operator
at once     1,000 connections, opened before; their requests are the first use of that key ever
then        137 answers and 863 refusals `quota_exceeded`; in the ledger 137 entries at the
            price; every account has settled just that, and nothing is leased any more

python -m benchmarks.exact [--replicas 1 2 4] [--trials 20]
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import graphs
from benchmarks.hub import Hub, running_hub
from benchmarks.ledger import entries
from benchmarks.volley import Answer, request_bytes, row, volley
from benchmarks.waiting import reached

AFFORDABLE, PRICE = 137, 1000
LIMIT = AFFORDABLE * PRICE
AT_ONCE, IN_A_ROW, PAUSE_S = 1000, 160, 0.01
REPLICAS, TRIALS, ROWS = (1, 2, 4), 20, 3
MODEL = "fixed"
SETTINGS = {"rate_per_second": 1_000_000, "rate_burst": 1_000_000, "queue_limit": 2 * AT_ONCE}
"""Only the budget may refuse."""
NODES = ("organisation", "project", "key")
_WITHIN_S = 15.0
_PATH = f"/v2/models/{MODEL}/infer"
_BODY = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
).encode()

console = Console()


@dataclass(frozen=True, slots=True)
class Tenant:
    """A new key, its node with a budget for 137 requests, and how all nodes are named."""

    name: str
    key: str
    tight: str
    places: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Trial:
    """What one rush found. Amounts are compute units, accounts are (settled, leased)."""

    how: str
    replicas: int
    tight: str
    sent: int
    answers: dict[str, int]
    """How many of each kind: `ok` or an error's code."""
    charged: int
    """By the headers of the answers."""
    ledger: int
    booked: int
    """By the ledger's entries."""
    odd: list[str]
    """Entries that cost something else than the price, or that nobody was answered for; in a row
    also an answer after the first refusal."""
    accounts: dict[str, tuple[int, int]]
    served_by: list[int]
    """How many each replica answered."""
    seconds: float
    """From the first byte sent to the last answer."""

    @property
    def held(self) -> bool:
        return (
            self.answers == {"ok": AFFORDABLE, "quota_exceeded": self.sent - AFFORDABLE}
            and self.ledger == AFFORDABLE
            and self.charged == self.booked == LIMIT
            and not self.odd
            and all(account == (LIMIT, 0) for account in self.accounts.values())
        )


def prepare(hub: Hub, place: Path) -> None:
    """Register the model and set its price per row, as an operator does."""
    graph = graphs.tiny()
    graph.manifest["name"] = MODEL
    hub.admin.models.register(graph.write(place / MODEL), visibility="public")
    hub.admin.prices.set(model=hub.admin.models.show(MODEL).full_name, fixed=PRICE)


def at_once(hub: Hub, number: int) -> Trial:
    """1,000 requests by a key that nobody has used before. `number` picks the tight node."""
    tenant = new_tenant(hub, NODES[number % len(NODES)])
    all_know(hub)
    begin = time.monotonic()
    answers = volley(port(hub), request_bytes(_PATH, tenant.key, _BODY), AT_ONCE)
    return _judge(hub, tenant, "at once", answers, time.monotonic() - begin)


def in_a_row(hub: Hub, number: int) -> Trial:
    """One request after the other, until some are refused."""
    tenant = new_tenant(hub, NODES[number % len(NODES)])
    all_know(hub)
    begin = time.monotonic()
    answers = row(port(hub), request_bytes(_PATH, tenant.key, _BODY), IN_A_ROW, pause_s=PAUSE_S)
    return _judge(hub, tenant, "in a row", answers, time.monotonic() - begin)


def new_tenant(hub: Hub, tight: str) -> Tenant:
    name = f"exact-{secrets.token_hex(4)}"
    hub.admin.orgs.create(name)
    hub.admin.projects.create(name, "shop")
    made = hub.admin.keys.create(name, role="consumer", project="shop")
    places: dict[str, dict[str, str]] = {
        "organisation": {}, "project": {"project": "shop"}, "key": {"key": made.id}
    }  # fmt: skip
    for node, place in places.items():
        limit = LIMIT if node == tight else 10 * LIMIT
        hub.admin.quotas.set(name, limit, period="total", **place)  # type: ignore[arg-type]
    return Tenant(name, made.key, tight, places)


def _judge(hub: Hub, tenant: Tenant, how: str, answers: list[Answer], seconds: float) -> Trial:
    """Wait until usage has arrived, and read the books."""

    def accounts() -> dict[str, tuple[int, int]]:
        found = {
            node: hub.admin.quotas.show(tenant.name, **place)
            for node, place in tenant.places.items()
        }
        return {node: (budget.settled, budget.leased) for node, budget in found.items()}

    reached(lambda: all(account == (LIMIT, 0) for account in accounts().values()), _WITHIN_S)
    booked = entries(hub.state_dir, tenant.name)
    good = {a.headers["x-request-id"]: a for a in answers if a.kind == "ok"}
    odd = [
        f"{id_}: {entry}"
        for id_, entry in booked.items()
        if (entry.charge, entry.overrun, entry.outcome) != (PRICE, 0, "ok") or id_ not in good
    ]
    kinds = [answer.kind for answer in answers]
    if how == "in a row" and kinds != sorted(kinds):  # "ok" sorts before "quota_exceeded"
        odd.append("an answer after a refusal")
    return Trial(
        how=how,
        replicas=replicas_of(hub),
        tight=tenant.tight,
        sent=len(answers),
        answers=dict(Counter(kinds)),
        charged=sum(int(answer.headers["x-plaza-charge"]) for answer in good.values()),
        ledger=len(booked),
        booked=sum(entry.charge for entry in booked.values()),
        odd=odd,
        accounts=accounts(),
        served_by=sorted(Counter(entry.replica for entry in booked.values()).values()),
        seconds=round(seconds, 3),
    )


def port(hub: Hub) -> int:
    return int(hub.environment["PLAZA_HTTP_PORT"])


def replicas_of(hub: Hub) -> int:
    return int(hub.environment.get("PLAZA_REPLICAS", "1"))


def all_know(hub: Hub) -> None:
    """Wait until every replica has the newest table, without using any key there."""

    def know() -> bool:
        live = [one for one in hub.admin.status().replicas if one["live"]]
        return len(live) == replicas_of(hub) and all(one["current"] for one in live)

    if not reached(know, _WITHIN_S):
        raise TimeoutError(f"not all replicas have the newest table: {hub.admin.status().replicas}")


def prove(replicas: Sequence[int] = REPLICAS, trials: int = TRIALS) -> dict[str, Any]:
    """The bar in full: each trial with each number of replicas must hold."""
    found: list[Trial] = []
    for count in replicas:
        with tempfile.TemporaryDirectory(prefix="plaza-exact-") as scratch:
            place = Path(scratch)
            with running_hub(place / "state", replicas=count, **SETTINGS) as hub:
                prepare(hub, place)
                for rush, times in ((at_once, trials), (in_a_row, ROWS)):
                    for number in range(times):
                        found.append(trial := rush(hub, number))
                        word = "held" if trial.held else "BROKEN"
                        console.print(f"  {word} {trial}", highlight=False)
    return {
        "exact": _score(t for t in found if t.how == "at once"),
        "exact_in_a_row": _score(t for t in found if t.how == "in a row"),
        "slowest_s": max(trial.seconds for trial in found),
        "broken": [asdict(trial) for trial in found if not trial.held],
        "held": all(trial.held for trial in found),
    }


def _score(trials: Iterable[Trial]) -> dict[str, str]:
    """Replicas -> how many trials held, of how many."""
    held, all_ = Counter[int](), Counter[int]()
    for trial in trials:
        held[trial.replicas] += trial.held
        all_[trial.replicas] += 1
    return {str(count): f"{held[count]} of {all_[count]}" for count in all_}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, nargs="+", default=REPLICAS)
    parser.add_argument("--trials", type=int, default=TRIALS)
    asked = parser.parse_args()
    result = prove(asked.replicas, asked.trials)
    console.print_json(json.dumps(result))
    return 0 if result["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
