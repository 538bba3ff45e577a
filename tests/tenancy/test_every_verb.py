"""Every public verb of the room, found by introspection, against three rules:

- whoever asks for another organisation's or project's object hears NotFound, or sees nothing of it;
- each statement that touches tenants' rows names the tenant;
- a verb that changes something writes one audit row, and one that does not writes none.

A new verb without a line in `VERBS` fails here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
import sqlalchemy

from plaza_core.budget import LeaseAsk, Price
from plaza_core.errors import Forbidden, NotFound
from plaza_core.held import Held
from plaza_core.ids import Digest, KeyId
from plaza_core.principal import Right, Role, TenantScope
from plaza_core.rollout import GatePolicy, RolloutKind, RolloutState
from plaza_core.running import Examination
from plaza_core.table import RateLimit, Visibility
from plaza_core.tracking import Sighting
from plaza_core.webhooks import Attempt, HostPattern
from plaza_core.windows import Window
from plaza_tenancy import Tenancy
from plaza_tenancy.nodes import Kind, Node
from plaza_tenancy.schema import AuditRow, Base, HubRow
from plaza_tenancy.views import Dimension
from tests.postgres import Database
from tests.tenancy.world import (
    World,
    make_certificate,
    make_record,
    make_version,
    new_world,
    open_tenancy,
)

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
    "hosts",
    "webhooks",
    "alerts",
    "deliveries",
)
URL = "https://hooks.example.org/in"
HOSTS = [HostPattern("hooks.example.org")]
SLOWER = Examination(True, "fine", "cpu", "1.31.1", {}, 1, 9)
EVER = {"since_us": 0, "until_us": 2**62}
RATE = RateLimit(per_second=1, burst=1)
SOME_DAYS = Window(first=date(2026, 1, 1), limit=3)


@dataclass(frozen=True)
class Victim:
    """What somebody owns, by all the names it could be asked for."""

    scope: TenantScope
    organisation: str
    project: str
    key: KeyId
    lease: str
    member: KeyId
    webhook: str
    rollout: str
    request: str
    proposal: str
    secrets: frozenset[str]
    """Ids and names that may never appear in an answer to anybody else."""


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


def settle(world: World, name: str, project: str) -> Victim:
    """Somebody with a key, a model, some usage, a budget and a lease on it."""
    tenancy = world.tenancy
    scope = tenancy.scope(world.operator, Right.TENANTS_WRITE, organisation=name, project=project)
    new = tenancy.keys.create(scope, role=Role.ADMIN, label=f"label-of-{name}-{project}")
    version, _ = tenancy.records.add_version(
        scope, make_version(name="hidden", project=project, card=f"card-of-{name}-{project}")
    )
    tenancy.records.set_alias(scope, "hidden", "spare", 1)
    tenancy.proposals.noticed(Sighting(version.model, "by-hand", number=9, version=None))
    (proposal,) = tenancy.proposals.list(scope)
    email = f"somebody@{name}-{project}.test"
    member = tenancy.members.add(scope, email, role=Role.ENGINEER).id
    whole = tenancy.scope(world.operator, Right.TENANTS_WRITE, organisation=name)
    hook = tenancy.webhooks.add(whole, f"{URL}/of-{name}", HOSTS, label=f"hook-of-{name}")
    request = f"request-of-{name}-{project}"
    tenancy.ledger.ingest(
        [
            make_record(
                scope.organisation, request, project=scope.project, key=new.id, model=version.model
            )
        ]
    )
    tenancy.budgets.set(scope, Node(Kind.KEY, new.id), limit=1000)
    tenancy.limits.set_holding(whole, Node(Kind.PROJECT, project), Held.VERSIONS, 9)
    (grant,) = tenancy.leases.exchange("r1", [LeaseAsk(key=new.id, need=10)])
    secrets = {new.id, new.mac, version.model, request, f"label-of-{name}-{project}"}
    secrets |= {member, email, scope.project, grant.lease, proposal.id}
    if project != "lab":  # of the asker's own organisation: its targets are the whole's
        secrets |= {hook.webhook.id, hook.secret, f"{URL}/of-{name}", f"hook-of-{name}"}
    rollout, asked = furnish(world, scope, name, project)
    found = frozenset(secrets | {rollout, asked})
    return Victim(
        scope,
        name,
        project,
        new.id,
        grant.lease,
        member,
        hook.webhook.id,
        rollout,
        asked,
        proposal.id,
        found,
    )


def furnish(world: World, scope: TenantScope, name: str, project: str) -> tuple[str, str]:
    """Versions in every state, a rollout, a model lent to others and one to be published."""
    tenancy, hidden = world.tenancy, f"{project}.hidden"
    for digest in range(2, 7):
        tenancy.records.add_version(scope, make_version(digest, name="hidden", project=project))
    tenancy.cards.set(scope, hidden, 3, f"# card-of-{name}")
    tenancy.certificates.add(scope, hidden, 1, make_certificate(1, device=f"device-of-{name}"))
    tenancy.lifecycle.stage(scope, hidden, 4)
    tenancy.lifecycle.retire(scope, hidden, 5)
    for version in (1, 2):
        tenancy.aliases.promote(scope, hidden, "tried", version)
    tenancy.aliases.promote(scope, hidden, "gated", 1)
    started = tenancy.rollouts.start(
        scope, hidden, "gated", 2, kind=RolloutKind.SHADOW, part=500, policy=GatePolicy()
    )
    tenancy.search.tag(scope, hidden, add=[f"tag-of-{name}"])
    tenancy.records.hold(scope, [Digest("a" * 64)])
    if not any(one.name == "guests" for one in tenancy.organisations.list(world.platform())):
        world.organisation("guests")
    for number, model in enumerate(("lent", "asked")):
        tenancy.records.add_version(scope, make_version(8 + number, name=model, project=project))
    tenancy.visibility.share(scope, f"{project}.lent", ["plaza"])
    tenancy.visibility.set(scope, f"{project}.lent", Visibility.PROJECT)
    admin = world.scope_of(name, Role.ADMIN, Right.MODELS_PUBLISH, project=project)
    asked = tenancy.visibility.publish(admin, f"{project}.asked").request
    assert asked is not None
    return started.id, asked.id


@pytest.fixture(scope="module")
def settled(databases) -> Iterator[tuple[Database, World, Victim]]:
    """A database in which acme has settled, closed; to be copied."""
    made = databases.migrated()
    world = new_world(made.url)
    world.organisation("acme")
    mine = settle(world, "acme", "main")
    world.tenancy.close()
    yield made, world, mine
    databases.drop(made)


@pytest.fixture
def at_home(settled, databases) -> Iterator[tuple[World, Victim]]:
    """Acme and what it owns, for whoever changes it."""
    made, world, mine = settled
    copy = databases.copy(made)
    tenancy = open_tenancy(copy.url, world.clock)
    yield World(tenancy, world.clock, copy.url, world.operator, world.operator_text), mine
    tenancy.close()
    databases.drop(copy)


def test_every_verb_is_examined_here(world):
    assert public_verbs(world.tenancy) == set(VERBS) | SCOPELESS


def refused_or_blind(world: World, verb: str, asker: TenantScope, victim: Victim) -> None:
    try:
        answer = VERBS[verb][1](world.tenancy, asker, victim)
    except (Forbidden, NotFound) as error:
        refused, answer = type(error), str(error)
    else:
        refused = None
    listing = verb in LISTING or verb.endswith((".list", ".visible"))
    itself = verb == "organisations.get" and getattr(answer, "id", None) == asker.organisation
    assert refused is not Forbidden or VERBS[verb][0].startswith(("platform", "whole"))
    assert refused or listing or itself or verb in OWN, "somebody else's object was handed out"
    assert not any(secret in repr(answer) for secret in victim.secrets)


@pytest.fixture(scope="module")
def neighbours(shared_world) -> tuple[World, Victim, Victim]:
    """Who must not be seen: another organisation by globex, another project by acme's key of
    `main`. Nothing of theirs ever changes, so one world is enough for all verbs."""
    world, tenancy = shared_world, shared_world.tenancy
    acme = world.organisation("acme")
    tenancy.projects.create(acme, "lab")
    for name in ("city", "globex"):
        world.organisation(name)
    whole = tenancy.scope(world.operator, Right.TENANTS_WRITE, organisation="city")
    tenancy.projects.create(whole, "town")
    return world, settle(world, "city", "town"), settle(world, "acme", "lab")


@pytest.mark.parametrize("verb", VERBS)
def test_another_organisation_does_not_exist(neighbours, verb):
    world, city, _ = neighbours
    before = rows_of(world, city)
    asker = world.scope_of("globex", Role.ADMIN, Right.TENANTS_WRITE)
    refused_or_blind(world, verb, asker, city)
    assert rows_of(world, city) == before


@pytest.mark.parametrize("verb", VERBS)
def test_another_project_does_not_exist_for_a_key_of_one_project(neighbours, verb):
    world, _, other_project = neighbours
    before = rows_of(world, other_project)
    asker = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE, project="main")
    refused_or_blind(world, verb, asker, other_project)
    assert rows_of(world, other_project) == before


def rows_of(world: World, victim: Victim) -> list[str]:
    """Everything stored that belongs to the victim."""
    found = []
    with world.tenancy._store.read_everything() as session:
        for table in Base.metadata.sorted_tables:
            if "organisation" in table.columns and table.name not in {"audit", "audit_heads"}:
                query = sqlalchemy.select(table).where(
                    table.c.organisation == victim.scope.organisation
                )
                if "project" in table.columns:
                    query = query.where(table.c.project == victim.scope.project)
                elif table.name == "projects":
                    query = query.where(table.c.id == victim.scope.project)
                elif table.name in {
                    "model_versions",
                    "model_cards",
                    "certificates",
                    "aliases",
                    "outbox",
                }:
                    continue
                found += sorted(map(repr, session.execute(query)))
    return found


TENANT = re.compile(
    r"organisation\s*=\s*(\?|:|%)|organisations\.id\s*=\s*(\?|:|%)|INSERT INTO"
    r"|\(accounts\.organisation, [^)]*\) IN"
)
# Whoever may share a model names other organisations, one by one.
GUESTS = re.compile(r"FROM organisations \s*WHERE organisations\.name IN")
# The actor of a scope is found by its key: that is how its tenant is known.
ACTOR = re.compile(r"(WHERE keys|AND members)\.id = (\?|:|%)\S*\s*$")


@pytest.mark.parametrize(
    "verb", [verb for verb, (kind, _) in VERBS.items() if "platform" not in kind]
)
def test_every_statement_names_the_tenant(at_home, verb):
    world, mine = at_home
    asker = world.scope_of("acme", Role.ADMIN, Right.TENANTS_WRITE)
    said: list[str] = []
    engine = world.tenancy._store._engine

    def listen(connection, cursor, statement, *_):
        said.append(statement)

    sqlalchemy.event.listen(engine, "before_cursor_execute", listen)
    try:
        VERBS[verb][1](world.tenancy, asker, mine)
    finally:
        sqlalchemy.event.remove(engine, "before_cursor_execute", listen)
    about_tenants = [
        text
        for text in said
        if not re.search(r"(FROM|UPDATE) hub\b|^(PRAGMA|BEGIN|SELECT set_config)", text)
    ]
    assert about_tenants
    for text in about_tenants:
        assert TENANT.search(text) or ACTOR.search(text) or GUESTS.search(text), text


def trail(world: World) -> tuple[int, int]:
    with world.tenancy._store.read_everything() as session:
        rows = session.scalar(sqlalchemy.select(sqlalchemy.func.count(AuditRow.id)))
        revision = session.scalar(sqlalchemy.select(HubRow.revision))
    return rows, revision


def everything(world: World) -> list[str]:
    journals = {"audit", "audit_heads", "hub", "alembic_version"}
    with world.tenancy._store.read_everything() as session:
        return [
            repr(row)
            for table in Base.metadata.sorted_tables
            if table.name not in journals
            for row in session.execute(sqlalchemy.select(table).order_by(*table.primary_key))
        ]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_changes_something_writes_one_audit_row(at_home, verb):
    world, mine = at_home
    kind, ask = VERBS[verb]
    if verb == "organisations.resume":
        world.tenancy.organisations.suspend(world.platform(), "acme")
    if verb == "prices.remove":
        world.tenancy.prices.set(world.platform(), Price(provider="openvino"))
    if verb == "hosts.disallow":
        world.tenancy.hosts.allow(world.platform(), "hooks.example.org")
    if verb == "webhooks.enable":
        disable(world, mine)
    acme = world.tenancy.scope(world.operator, Right.TENANTS_WRITE, organisation="acme")
    asker = world.platform() if "platform" in kind else acme
    before, rows, revision = everything(world), *trail(world)
    ask(world.tenancy, asker, mine)
    changed = everything(world) != before
    assert changed == (not kind.endswith("read") and verb != "hosts.list")
    assert trail(world) == (rows + changed, revision + changed)
    if changed:
        (told,) = world.tenancy.audit.list(world.platform(), limit=1)
        assert told.action.split(".")[0] == (
            "model" if verb.split(".")[0] in OF_MODELS else verb.split(".")[0].removesuffix("s")
        )
        assert told.actor == asker.actor
        assert (told.organisation_name == "acme") == (verb not in OF_OPERATORS)
        assert told.after is not None


def disable(world: World, victim: Victim) -> None:
    world.tenancy.webhooks.test(
        world.tenancy.scope(world.operator, Right.TENANTS_WRITE, organisation="acme"),
        victim.webhook,
    )
    (message,) = world.tenancy.deliveries.take(1)
    world.tenancy.deliveries.note(message, Attempt(delivered=False, error="gone", gone=True))


def test_shipping_usage_and_telling_mlflow_are_no_administrative_changes(at_home):
    world, mine = at_home
    before = trail(world)
    for item in world.tenancy.proposals.pending(10):
        world.tenancy.proposals.done(item.id)
    world.tenancy.ledger.ingest([make_record(mine.scope.organisation, "another")])
    assert trail(world) == before
