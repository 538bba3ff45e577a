"""Every public verb of the room that takes a scope, and how each is asked for a victim's objects.

A verb without a line here fails `test_every_verb.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import date
from typing import Any

from plaza_core.budget import Price
from plaza_core.held import Held
from plaza_core.indexes import Publication
from plaza_core.principal import Role, TenantScope
from plaza_core.rollout import GatePolicy, RolloutKind, RolloutState
from plaza_core.running import Examination
from plaza_core.table import RateLimit, Visibility
from plaza_core.windows import Window
from plaza_tenancy import Tenancy
from plaza_tenancy.nodes import Kind, Node
from plaza_tenancy.views import Dimension
from tests.tenancy.victims import HOSTS, URL, Victim
from tests.tenancy.world import make_certificate, make_version

SERVICES = (
    "organisations",
    "projects",
    "keys",
    "records",
    "cards",
    "certificates",
    "aliases",
    "lifecycle",
    "rollouts",
    "visibility",
    "search",
    "collector",
    "proposals",
    "ledger",
    "audit",
    "budgets",
    "concurrency",
    "limits",
    "prices",
    "shares",
    "leases",
    "members",
    "sessions",
    "idempotency",
    "indexes",
    "hosts",
    "webhooks",
    "alerts",
    "deliveries",
)
SLOWER = Examination(True, "fine", "cpu", "1.31.1", {}, 1, 9)
EVER = {"since_us": 0, "until_us": 2**62}
RATE = RateLimit(per_second=1, burst=1)
SOME_DAYS = Window(first=date(2026, 1, 1), limit=3)

Verb = Callable[[Tenancy, TenantScope, Victim], Any]
VERBS: dict[str, tuple[str, Verb]] = {
    # name: (read or change, how to ask for the victim's objects)
    "organisations.create": ("platform", lambda t, s, v: t.organisations.create(s, "fresh")),
    "organisations.list": ("read", lambda t, s, v: t.organisations.list(s)),
    "organisations.get": ("read", lambda t, s, v: t.organisations.get(s, v.organisation)),
    "organisations.suspend": (
        "platform",
        lambda t, s, v: t.organisations.suspend(s, v.organisation),
    ),
    "organisations.resume": ("platform", lambda t, s, v: t.organisations.resume(s, v.organisation)),
    "organisations.set_rate": (
        "platform",
        lambda t, s, v: t.organisations.set_rate(s, v.organisation, RATE),
    ),
    "projects.create": ("whole", lambda t, s, v: t.projects.create(s, "fresh")),
    "projects.list": ("read", lambda t, s, v: t.projects.list(s)),
    "projects.get": ("read", lambda t, s, v: t.projects.get(s, v.project)),
    "projects.set_rate": ("whole", lambda t, s, v: t.projects.set_rate(s, v.project, RATE)),
    "keys.create": ("change", lambda t, s, v: t.keys.create(s, role=Role.CONSUMER)),
    "keys.list": ("read", lambda t, s, v: t.keys.list(s)),
    "keys.get": ("read", lambda t, s, v: t.keys.get(s, v.key)),
    "keys.set_rate": ("change", lambda t, s, v: t.keys.set_rate(s, v.key, RATE)),
    "keys.revoke": ("change", lambda t, s, v: t.keys.revoke(s, v.key)),
    "keys.set_expiry": ("change", lambda t, s, v: t.keys.set_expiry(s, v.key, 2**62)),
    "keys.rotate": ("change", lambda t, s, v: t.keys.rotate(s, v.key, overlap_us=1)),
    "members.add": ("change", lambda t, s, v: t.members.add(s, "new@a.test", role=Role.CONSUMER)),
    "members.list": ("read", lambda t, s, v: t.members.list(s)),
    "members.get": ("read", lambda t, s, v: t.members.get(s, v.member)),
    "members.set_role": ("change", lambda t, s, v: t.members.set_role(s, v.member, Role.AUDITOR)),
    "members.remove": ("change", lambda t, s, v: t.members.remove(s, v.member)),
    "records.add_version": (
        "change",
        lambda t, s, v: t.records.add_version(s, make_version(7, name="new", project=v.project)),
    ),
    "records.set_alias": (
        "change",
        lambda t, s, v: t.records.set_alias(s, f"{v.project}.hidden", "candidate", 1),
    ),
    "visibility.set": (
        "change",
        lambda t, s, v: t.visibility.set(s, model_of(v), Visibility.ORGANISATION),
    ),
    "visibility.share": (
        "change",
        lambda t, s, v: t.visibility.share(s, model_of(v), ["guests"]),
    ),
    "visibility.unshare": (
        "change",
        lambda t, s, v: t.visibility.unshare(s, f"{v.project}.lent", "plaza"),
    ),
    "visibility.guests": ("read", lambda t, s, v: t.visibility.guests(s, f"{v.project}.lent")),
    "visibility.publish": ("change", lambda t, s, v: t.visibility.publish(s, model_of(v))),
    "visibility.requests": ("read", lambda t, s, v: t.visibility.requests(s)),
    "visibility.approve": ("platform", lambda t, s, v: t.visibility.approve(s, v.request)),
    "visibility.reject": (
        "platform",
        lambda t, s, v: t.visibility.reject(s, v.request, reason="no card"),
    ),
    "aliases.promote": (
        "change",
        lambda t, s, v: t.aliases.promote(s, model_of(v), "candidate", 3, why="it is better"),
    ),
    "aliases.rollback": ("change", lambda t, s, v: t.aliases.rollback(s, model_of(v), "tried")),
    "aliases.remove": ("change", lambda t, s, v: t.aliases.remove(s, model_of(v), "tried")),
    "aliases.history": ("read", lambda t, s, v: t.aliases.history(s, model_of(v), "tried")),
    "lifecycle.stage": ("change", lambda t, s, v: t.lifecycle.stage(s, model_of(v), 3)),
    "lifecycle.unstage": ("change", lambda t, s, v: t.lifecycle.unstage(s, model_of(v), 4)),
    "lifecycle.retire": ("change", lambda t, s, v: t.lifecycle.retire(s, model_of(v), 4)),
    "lifecycle.restore": ("change", lambda t, s, v: t.lifecycle.restore(s, model_of(v), 5)),
    "lifecycle.withdraw": ("change", lambda t, s, v: t.lifecycle.withdraw(s, model_of(v), 3)),
    "lifecycle.examined": (
        "change",
        lambda t, s, v: t.lifecycle.examined(s, model_of(v), 3, SLOWER),
    ),
    "rollouts.start": (
        "change",
        lambda t, s, v: t.rollouts.start(
            s, model_of(v), "tried", 3, kind=RolloutKind.CANARY, part=500, policy=GatePolicy()
        ),
    ),
    "rollouts.end": (
        "change",
        lambda t, s, v: t.rollouts.end(s, v.rollout, RolloutState.CANCELLED),
    ),
    "rollouts.find": ("read", lambda t, s, v: t.rollouts.find(s)),
    "rollouts.get": ("read", lambda t, s, v: t.rollouts.get(s, v.rollout)),
    "search.find": ("read", lambda t, s, v: t.search.find(s, "card-of")),
    "search.tag": ("change", lambda t, s, v: t.search.tag(s, model_of(v), add=["new"])),
    "collector.removable": ("read", lambda t, s, v: t.collector.removable(s, 0)),
    "collector.remove": ("change", lambda t, s, v: t.collector.remove(s, 0)),
    "proposals.list": ("read", lambda t, s, v: t.proposals.list(s)),
    "proposals.get": ("read", lambda t, s, v: t.proposals.get(s, v.proposal)),
    "proposals.reject": ("change", lambda t, s, v: t.proposals.reject(s, v.proposal)),
    "records.get": ("read", lambda t, s, v: t.records.get(s, "hidden")),
    "records.details": ("read", lambda t, s, v: t.records.details(s, model_of(v), "1")),
    "records.visible": ("read", lambda t, s, v: t.records.visible(s)),
    "records.versions": ("read", lambda t, s, v: t.records.versions(s, f"{v.project}.hidden")),
    "cards.set": ("change", lambda t, s, v: t.cards.set(s, f"{v.project}.hidden", 1, "# New")),
    "cards.list": ("read", lambda t, s, v: t.cards.list(s, f"{v.project}.hidden", 1)),
    "certificates.add": (
        "change",
        lambda t, s, v: t.certificates.add(s, f"{v.project}.hidden", 1, make_certificate(1)),
    ),
    "certificates.list": ("read", lambda t, s, v: t.certificates.list(s, f"{v.project}.hidden")),
    "ledger.report": ("read", lambda t, s, v: t.ledger.report(s, **EVER, by=list(Dimension))),
    "ledger.records": ("read", lambda t, s, v: t.ledger.records(s, **EVER)),
    "ledger.correct": (
        "platform",
        lambda t, s, v: t.ledger.correct(s, v.organisation, charge=-1, reason="too much"),
    ),
    "ledger.statement": (
        "whole-read",
        lambda t, s, v: b"".join(t.ledger.statement(s, "2023-11").json()),
    ),
    "ledger.verify": ("whole-read", lambda t, s, v: t.ledger.verify(s)),
    "ledger.drift": ("platform-read", lambda t, s, v: t.ledger.drift(s)),
    "ledger.rebuild": ("platform-read", lambda t, s, v: t.ledger.rebuild(s)),
    "ledger.drop_before": ("platform", lambda t, s, v: t.ledger.drop_before(s, "2023-01")),
    "audit.list": ("read", lambda t, s, v: t.audit.list(s)),
    "audit.verify": ("whole-read", lambda t, s, v: t.audit.verify(s)),
    "budgets.set": ("change", lambda t, s, v: t.budgets.set(s, key_of(v), limit=5)),
    "budgets.adjust": ("change", lambda t, s, v: t.budgets.adjust(s, key_of(v), by=5)),
    "budgets.remove": ("change", lambda t, s, v: t.budgets.remove(s, key_of(v))),
    "budgets.show": ("read", lambda t, s, v: t.budgets.show(s, key_of(v))),
    "budgets.list": ("read", lambda t, s, v: t.budgets.list(s)),
    "budgets.set_calendar": (
        "change",
        lambda t, s, v: t.budgets.set_calendar(s, key_of(v), [SOME_DAYS]),
    ),
    "limits.list": ("read", lambda t, s, v: t.limits.list(s)),
    "limits.set_rate": ("change", lambda t, s, v: t.limits.set_rate(s, key_of(v), RATE)),
    "limits.set_holding": (
        "whole",
        lambda t, s, v: t.limits.set_holding(s, Node(Kind.PROJECT, v.project), Held.KEYS, 3),
    ),
    "leases.list": ("platform-read", lambda t, s, v: t.leases.list(s)),
    "concurrency.set": ("change", lambda t, s, v: t.concurrency.set(s, key_of(v), 3)),
    "concurrency.set_priority": ("change", lambda t, s, v: t.concurrency.set_priority(s, v.key, 3)),
    "prices.set": ("platform", lambda t, s, v: t.prices.set(s, Price(provider="cpu", weight=2))),
    "prices.remove": (
        "platform",
        lambda t, s, v: t.prices.remove(s, provider="openvino", model=None),
    ),
    "shares.set": (
        "platform",
        lambda t, s, v: t.shares.set(s, v.organisation, weight=2, borrow_percent=None),
    ),
    "shares.list": ("read", lambda t, s, v: t.shares.list(s)),
    "leases.write_off": ("platform", lambda t, s, v: t.leases.write_off(s, v.lease)),
    "indexes.create": (
        "change",
        lambda t, s, v: t.indexes.create(s, "fresh", project=v.project),
    ),
    "indexes.get": ("read", lambda t, s, v: t.indexes.get(s, f"{v.project}.kept")),
    "indexes.list": ("read", lambda t, s, v: t.indexes.list(s)),
    "indexes.drop": ("change", lambda t, s, v: t.indexes.drop(s, f"{v.project}.kept")),
    "indexes.segment": ("read", lambda t, s, v: t.indexes.segment(s, v.index, 1)),
    "indexes.publish": (
        "append",
        lambda t, s, v: t.indexes.publish(s, v.index, Publication(1, 0, b"new", 1)),
    ),
    "hosts.allow": ("platform", lambda t, s, v: t.hosts.allow(s, "fresh.example.org")),
    "hosts.disallow": ("platform", lambda t, s, v: t.hosts.disallow(s, "hooks.example.org")),
    "hosts.list": ("platform", lambda t, s, v: t.hosts.list(s)),
    "webhooks.add": ("whole", lambda t, s, v: t.webhooks.add(s, URL, HOSTS)),
    "webhooks.list": ("read", lambda t, s, v: t.webhooks.list(s)),
    "webhooks.remove": ("whole", lambda t, s, v: t.webhooks.remove(s, v.webhook)),
    "webhooks.rotate": ("whole", lambda t, s, v: t.webhooks.rotate(s, v.webhook)),
    "webhooks.enable": ("whole", lambda t, s, v: t.webhooks.enable(s, v.webhook)),
    "webhooks.test": ("whole", lambda t, s, v: t.webhooks.test(s, v.webhook)),
    "webhooks.deliveries": ("read", lambda t, s, v: t.webhooks.deliveries(s, v.webhook)),
}
OF_MODELS = {"records", "aliases", "lifecycle", "visibility", "search", "collector"}
# About the asker's organisation as a whole, whoever else there is.
LISTING = {"rollouts.find", "search.find", "visibility.requests"}
LISTING |= {"collector.removable", "collector.remove"}
LISTING |= {"ledger.records", "ledger.report", "ledger.statement", "ledger.verify", "audit.verify"}
# These make something of the asker's own rather than name something of the victim's.
OWN = {"organisations.create", "projects.create", "keys.create", "members.add", "webhooks.add"}
SCOPELESS = {
    "records.hold",  # of its own organisation; names nothing of anybody's
    "certificates.add_of_node",
    "rollouts.running",
    "rollouts.keep",
    "rollouts.stop",
    "collector.sweep",
    "proposals.pending",
    "proposals.done",
    "proposals.waiting",
    "proposals.known",
    "proposals.tell_again",
    "proposals.noticed",
    "proposals.expire",
    "ledger.ingest",
    "leases.exchange",
    "leases.close",
    "leases.held_by",
    "leases.holders",
    "leases.drift",
    "leases.expire",
    "prices.list",
    "members.bind",
    "sessions.open",
    "sessions.known",
    "sessions.find",
    "sessions.close",
    "hosts.patterns",
    "webhooks.secrets_of",
    "idempotency.claim",
    "idempotency.renew",
    "idempotency.complete",
    "idempotency.release",
    "idempotency.expire",
    "alerts.raise_due",
    "alerts.accounts",
    "deliveries.take",
    "deliveries.note",
    "deliveries.expire",
}


def model_of(victim: Victim) -> str:
    return f"{victim.organisation}.{victim.project}.hidden"


def key_of(victim: Victim) -> Node:
    return Node(Kind.KEY, victim.key)


OF_OPERATORS = {
    "organisations.create",
    "hosts.allow",
    "hosts.disallow",
    "prices.set",
    "prices.remove",
}


def public_verbs(tenancy: Tenancy) -> set[str]:
    return {
        f"{service}.{name}"
        for service in SERVICES
        for name, method in inspect.getmembers(getattr(tenancy, service), inspect.ismethod)
        if not name.startswith("_")
    }
