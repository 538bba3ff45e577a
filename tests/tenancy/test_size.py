"""A hub of the size it is made for: 200 organisations and 1,000 keys.

What must not grow with the hub is counted in statements; times and bytes are written down as
properties of the test (`--junit-xml FILE` keeps them), for they depend on the machine.
"""

from __future__ import annotations

import random
import statistics
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from plaza_core import keys
from plaza_core.principal import Role
from plaza_tenancy.schema import (
    AliasRow,
    KeyRow,
    ModelRow,
    OrganisationRow,
    ProjectRow,
    VersionRow,
)
from tests.tenancy.world import PEPPER, World, make_manifest, make_version

ORGANISATIONS, KEYS, MODELS = 200, 1_000, 100
ASKED = 200


def furnish(world: World) -> list[str]:
    """The rows of a whole hub at once, through no verb; returns the texts of the keys."""
    draw = random.Random(7).randbytes
    issued = [keys.issue(PEPPER, draw) for _ in range(KEYS)]
    manifest = make_manifest().model_dump(mode="json", by_alias=True)
    rate = {"rate_per_second": 100.0, "rate_burst": 200}
    version = make_version()
    files = [file.model_dump(mode="json") for file in version.files]
    with world.tenancy._store.append_everything() as session:
        organisations = [
            OrganisationRow(
                id=f"org_{n:017}",
                name=f"organisation-{n}",
                title=f"Organisation {n}",
                operator=False,
                suspended=False,
                created=n,
                **rate,
            )
            for n in range(ORGANISATIONS)
        ]
        projects = [
            ProjectRow(organisation=row.id, id=f"prj_{n:017}", name="main", created=n, **rate)
            for n, row in enumerate(organisations)
        ]
        session.add_all(organisations)
        session.flush()
        session.add_all(projects)
        session.flush()
        for n, key in enumerate(issued):
            project = projects[n % ORGANISATIONS]
            session.add(
                KeyRow(
                    organisation=project.organisation,
                    id=key.id,
                    project=project.id,
                    mac=key.mac,
                    role=Role.CONSUMER,
                    label=f"application {n}",
                    created=n,
                    last_used=world.clock.unix_us(),
                    **rate,
                )
            )
        for n in range(MODELS):
            where = {"organisation": projects[n].organisation}
            model = f"mdl_{n:017}"
            session.add(
                ModelRow(
                    id=model,
                    project=projects[n].id,
                    name="model",
                    visibility="project",
                    created=n,
                    **where,
                )
            )
            session.flush()
            session.add(
                VersionRow(
                    model=model,
                    version=1,
                    digest=version.digest,
                    family="tensor",
                    manifest=manifest,
                    files=files,
                    card=version.card,
                    examination={},
                    created=n,
                    created_by="k",
                    **where,
                )
            )
            session.flush()
            session.add(AliasRow(model=model, alias="champion", version=1, **where))
    return [key.text for key in issued]


@contextmanager
def statements(world: World):
    said: list[str] = []
    engine = world.tenancy._store._engine

    def listen(connection, cursor, statement, *_):
        if not statement.startswith(("PRAGMA", "BEGIN")):
            said.append(statement)

    event.listen(engine, "before_cursor_execute", listen)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", listen)


@pytest.mark.timeout(120)
def test_a_hub_of_two_hundred_organisations_and_a_thousand_keys(world, record_property):
    texts = furnish(world)
    with statements(world) as said:
        begin = time.perf_counter()
        table = world.tenancy.table()
        built = time.perf_counter() - begin
    assert len(said) <= 12, "one query for each kind of row, however many rows"
    assert (len(table.keys), len(table.models)) == (KEYS + 1, MODELS)
    body = table.model_dump_json(by_alias=True).encode()
    assert len(body) < 2 << 20

    took = []
    with statements(world) as said:
        for text in random.Random(1).sample(texts, ASKED):
            begin = time.perf_counter()
            who = world.tenancy.authenticate(text)
            took.append(time.perf_counter() - begin)
            assert who.role is Role.CONSUMER
    assert len(said) <= 2 * ASKED, "whose rows, and the key"

    with statements(world) as said:
        world.tenancy.table_version()
    assert len(said) <= 2
    for name, value in (
        ("table build, ms", round(built * 1e3, 1)),
        ("table, bytes", len(body)),
        ("authenticate, µs, median", round(statistics.median(took) * 1e6)),
        ("authenticate, µs, p95", round(statistics.quantiles(took, n=20)[-1] * 1e6)),
    ):
        record_property(name, value)
