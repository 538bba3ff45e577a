"""Organisations under load while things are killed, and their books afterwards.

    free      no budget anywhere: only availability is at stake
    roomy     budgets on organisation and key that are never short; measured prices
    short     a key with a budget that runs out within seconds; measured prices
    exact     a project with a budget for a number of requests at a fixed price

What clients were told is held against the rows of the ledger and the accounts. It must be:
acknowledged ⊆ ledger ⊆ acknowledged + broken, each once; charged in the answer = in the ledger, for
each request; settled of every account = the sum of its entries; in the end nothing is leased, and
who was denied can spend what is left to the unit, and no unit more.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import exact
from benchmarks.chaos import Journal, Traffic
from benchmarks.hub import Hub
from benchmarks.ledger import Entry, accounts, entries
from benchmarks.volley import request_bytes, row
from benchmarks.waiting import reached

AMPLE, SHORT_US, AFFORDABLE = 10**12, 20_000, 1_500
KINDS = ("free", "roomy", "short", "exact")
STEADY = frozenset({"free", "roomy"})
"""Who is always answered while the hub is well."""
_WITHIN_S = 20.0
_REST = 500
"""More than so many requests that are left are not sent one after the other."""
_TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
_BODY = json.dumps({"inputs": [_TENSOR]}).encode()


@dataclass(frozen=True, slots=True)
class Party:
    """One organisation with one key and a few clients."""

    kind: str
    name: str
    key: str
    clients: int

    @property
    def path(self) -> str:
        return f"/v2/models/{exact.MODEL if self.kind == 'exact' else 'tiny'}/infer"

    def traffic(self, hub: Hub) -> Traffic:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        return Traffic(exact.port(hub), self.path, _BODY, headers, self.clients)


@dataclass(frozen=True, slots=True)
class Books:
    """What clients of one party counted beside what the hub wrote down. Amounts are units."""

    kind: str
    acknowledged: int
    broken: int
    denied: int
    ledger: int
    charged: int
    """By the headers of acknowledged answers."""
    booked: int
    """By the ledger, including what was charged to broken requests."""
    limit: int | None
    wrong: list[str]
    """All that does not fit together."""


def invite(hub: Hub, kinds: Sequence[str] = KINDS, *, clients: int = 2) -> list[Party]:
    """New organisations whose keys nobody has used; returns when every replica knows them."""
    parties = [_invite(hub, kind, clients) for kind in kinds]
    exact.all_know(hub)
    return parties


def _invite(hub: Hub, kind: str, clients: int) -> Party:
    name = f"{kind}-{secrets.token_hex(4)}"
    hub.admin.orgs.create(name)
    hub.admin.projects.create(name, "shop")
    made = hub.admin.keys.create(name, role="consumer", project="shop")
    if kind == "roomy":
        hub.admin.quotas.set(name, AMPLE)
        hub.admin.quotas.set(name, AMPLE, key=made.id, period="total")
    if kind == "short":
        hub.admin.quotas.set(name, AMPLE)
        hub.admin.quotas.set(name, SHORT_US, key=made.id, period="total")
    if kind == "exact":
        hub.admin.quotas.set(name, AFFORDABLE * exact.PRICE, project="shop", period="total")
    return Party(kind, name, made.key, clients)


def balance(hub: Hub, party: Party, journal: Journal) -> Books:
    """Wait until usage has arrived and nothing is leased any more, then compare everything."""

    def at_rest() -> bool:
        there = journal.acknowledged.keys() <= entries(hub.state_dir, party.name).keys()
        return there and not any(a.leased for a in accounts(hub.state_dir, party.name))

    wrong = list(journal.wrong)
    if not reached(at_rest, _WITHIN_S):
        wrong.append("not at rest")
    booked = entries(hub.state_dir, party.name)
    wrong += _unlike(journal, booked) + _unsettled(hub, party, booked)
    if party.kind == "exact" and journal.counts["denied"]:
        wrong += _spend_the_rest(hub, party)
    limits = [a.limit for a in accounts(hub.state_dir, party.name) if a.limit is not None]
    return Books(
        kind=party.kind,
        acknowledged=len(journal.acknowledged),
        broken=journal.counts["broken"],
        denied=journal.counts["denied"],
        ledger=len(booked),
        charged=sum(journal.acknowledged.values()),
        booked=sum(entry.charge for entry in booked.values()),
        limit=min(limits, default=None),
        wrong=wrong,
    )


def _unlike(journal: Journal, booked: dict[str, Entry]) -> list[str]:
    """Where the ledger says something else than the clients."""
    told = journal.acknowledged
    lost = sorted(told.keys() - booked.keys())
    found = [f"acknowledged and not in the ledger: {len(lost)} {lost[:3]}"] if lost else []
    if len(told) != journal.counts["ok"]:
        found.append("two answers with one request id")
    unsent = len(booked.keys() - told.keys()) - journal.counts["broken"]
    if unsent > 0:
        found.append(f"in the ledger and never issued: {unsent}")
    unequal = [i for i, n in told.items() if i in booked and booked[i].charge != n]
    if unequal:
        found.append(f"charged otherwise than told: {len(unequal)} {unequal[:3]}")
    return found


def _unsettled(hub: Hub, party: Party, booked: dict[str, Entry]) -> list[str]:
    """Accounts that are not the sum of what was booked. All usage is of one key of one project."""
    total = sum(entry.charge for entry in booked.values())
    found = accounts(hub.state_dir, party.name)
    return [
        f"booked {total}, and yet {account}"
        for account in found
        if account.settled != total or account.leased or account.over
    ]


def _spend_the_rest(hub: Hub, party: Party) -> list[str]:
    """Whatever died: what is left of the budget can be spent, to the last unit and not beyond."""

    def settled() -> int:
        return accounts(hub.state_dir, party.name)[0].settled

    left = AFFORDABLE - settled() // exact.PRICE
    if left > _REST:
        return []
    request = request_bytes(party.path, party.key, _BODY)
    kinds = [a.kind for a in row(exact.port(hub), request, left + 3, pause_s=0)]
    found = []
    if kinds != ["ok"] * left + ["quota_exceeded"] * 3:
        found.append(f"of {left} requests that were left {kinds.count('ok')} were answered")
    if not reached(lambda: settled() == AFFORDABLE * exact.PRICE, _WITHIN_S):
        found.append(f"the last unit was not settled: {accounts(hub.state_dir, party.name)}")
    return found
