"""A hub that is upgraded: what an older schema holds is chained, summed up and still true."""

from __future__ import annotations

import itertools
import json

import sqlalchemy
from alembic import command

from plaza_core.principal import Right
from plaza_tenancy import dialect
from plaza_tenancy.migrate import configuration, migrate
from plaza_tenancy.views import Dimension
from tests.postgres import APP, OWNER, as_role
from tests.tenancy.books import EVER, HOUR, NOVEMBER, audited, tamper
from tests.tenancy.world import make_record, new_world

OLD_USAGE = (
    "INSERT INTO usage (organisation, request_id, project, key, model, version, digest, provider,"
    " rows, compute_us, host_us, latency_us, outcome, at_unix_us, replica) VALUES (:organisation,"
    " :request_id, :project, :key, :model, :version, :digest, :provider, :rows, :compute_us,"
    " :host_us, :latency_us, :outcome, :at_unix_us, :replica)"
)
OLD_AUDIT = (
    "INSERT INTO audit (at, actor, organisation, project, action, target, before, after) VALUES"
    " (:at, 'k', :whose, NULL, 'test.before', :target, :before, :after)"
)


def downgraded(engine) -> None:
    config = configuration()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")


def test_rows_from_before_are_chained_and_summed_up(new_url):
    world = new_world(new_url())
    acme, city = world.organisation("acme"), world.organisation("city")
    world.tenancy.close()
    engine = dialect.writing(dialect.open_engine(as_role(OWNER, world.url)))
    downgraded(engine)
    records = [
        make_record(
            scope.organisation, str(n), project=None if n % 3 else "p", model=f"m{n % 2}",
            outcome="ok" if n % 5 else "é\n", at_unix_us=NOVEMBER + n * HOUR // 4,
        )
        for scope, n in itertools.product((acme, city), range(40))
    ]  # fmt: skip
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text(OLD_USAGE),
            [{name: getattr(r, name) for name in r.__slots__} for r in records],
        )
        facts = json.dumps({"b": [1, 2.5, None], "a": "é\n"})
        for n in range(3):
            told = {"at": n, "target": f"t{n}", "before": None, "after": facts}
            connection.execute(sqlalchemy.text(OLD_AUDIT), {"whose": acme.organisation, **told})
    engine.dispose()

    migrate(as_role(OWNER, world.url), app_role=APP)
    tenancy = world.reopened()
    platform = world.platform()
    assert [chain.intact for chain in tenancy.ledger.verify(platform)] == [True, True]
    assert tenancy.ledger.drift(platform) == []
    (part,) = tenancy.ledger.report(acme, **EVER)
    assert (part.requests, part.answered, part.compute_us, part.charge) == (40, 32, 400, 0)
    hours = tenancy.ledger.report(acme, **EVER, by=[Dimension.HOUR])
    assert [p.requests for p in hours] == [4] * 10
    told = audited(b"".join(tenancy.ledger.statement(acme, "2023-11").json()))
    assert len(told["entries"]) == 40
    assert {e["kind"] for e in told["entries"]} == {"use"}
    assert tenancy.ledger.ingest(records) == 0
    assert tenancy.ledger.ingest([make_record(acme.organisation, "new", at_unix_us=NOVEMBER)]) == 1

    assert all(chain.intact for chain in tenancy.audit.verify(platform))
    tenancy.projects.create(acme, "lab")
    scope = tenancy.scope(world.operator, Right.AUDIT_READ, organisation="acme")
    (chain,) = tenancy.audit.verify(scope)
    assert (chain.links, chain.intact) == (5, True)
    tamper(world, "UPDATE audit SET after = NULL WHERE target = 't1'")
    (chain,) = tenancy.audit.verify(scope)
    assert chain.broken == 3
    tenancy.close()


def test_books_of_more_than_one_portion_are_one_chain(new_url):
    world = new_world(new_url())
    acme = world.organisation("acme")
    world.tenancy.close()
    engine = dialect.writing(dialect.open_engine(as_role(OWNER, world.url)))
    downgraded(engine)
    with engine.begin() as connection:
        rows = [make_record(acme.organisation, f"{n:05}", at_unix_us=n // 7) for n in range(5_003)]
        connection.execute(
            sqlalchemy.text(OLD_USAGE),
            [{name: getattr(r, name) for name in r.__slots__} for r in rows],
        )
    engine.dispose()
    migrate(as_role(OWNER, world.url), app_role=APP)
    (chain,) = world.reopened().ledger.verify(acme)
    assert (chain.intact, chain.links) == (True, 2)
    (part,) = world.tenancy.ledger.report(acme, **EVER)
    assert part.requests == 5_003
    world.tenancy.close()
