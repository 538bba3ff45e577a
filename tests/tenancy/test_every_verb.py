"""Every public verb of the room, found by introspection, against three rules:

- whoever asks for another organisation's or project's object hears NotFound, or sees nothing of it;
- each statement that touches tenants' rows names the tenant;
- a verb that changes something writes one audit row, and one that does not writes none.

How each is asked stands in `verbs.py`, what is asked for in `victims.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import sqlalchemy

from plaza_core.budget import Price
from plaza_core.errors import Forbidden, NotFound
from plaza_core.principal import Right, Role, TenantScope
from plaza_tenancy.schema import AuditRow, Base, HubRow
from tests.postgres import Database
from tests.tenancy.verbs import (
    LISTING,
    OF_MODELS,
    OF_OPERATORS,
    OWN,
    SCOPELESS,
    VERBS,
    public_verbs,
)
from tests.tenancy.victims import Victim, disable, settle
from tests.tenancy.world import World, make_record, new_world, open_tenancy


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
                    "search_segments",
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
    administrative = changed and kind != "append"
    assert trail(world) == (rows + administrative, revision + administrative)
    if administrative:
        (told,) = world.tenancy.audit.list(world.platform(), limit=1)
        assert told.action.split(".")[0] == (
            "model" if verb.split(".")[0] in OF_MODELS else singular(verb.split(".")[0])
        )
        assert told.actor == asker.actor
        assert (told.organisation_name == "acme") == (verb not in OF_OPERATORS)
        assert told.after is not None


def singular(service: str) -> str:
    return "index" if service == "indexes" else service.removesuffix("s")


def test_shipping_usage_and_telling_mlflow_are_no_administrative_changes(at_home):
    world, mine = at_home
    before = trail(world)
    for item in world.tenancy.proposals.pending(10):
        world.tenancy.proposals.done(item.id)
    world.tenancy.ledger.ingest([make_record(mine.scope.organisation, "another")])
    assert trail(world) == before
