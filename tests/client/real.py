"""The real admin API on a real database, for tests of its clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from plaza_core.ports import NewVersion
from plaza_core.principal import Right
from tests.serving.control.conftest import World, open_world
from tests.tenancy.world import make_record


@contextmanager
def real_control(
    directory: Path, organisations: Sequence[str] = (), versions: Sequence[NewVersion] = ()
) -> Iterator[World]:
    """One with these organisations; the first has these versions in its project `main`."""
    directory.mkdir()
    world = open_world(directory)
    tenancy = world.parts.tenancy
    operator = tenancy.authenticate(world.operator)
    for name in organisations:
        tenancy.organisations.create(tenancy.platform(operator, Right.TENANTS_WRITE), name)
    if versions:
        scope = tenancy.scope(operator, Right.MODELS_WRITE, organisation=organisations[0])
        for version in versions:
            tenancy.records.add_version(scope, version)
    yield world
    world.parts.close_waits()
    tenancy.close()


def used_thrice(world: World, organisation: str) -> None:
    """Three charged requests in the organisation's books, now."""
    now = world.clock.unix_us()
    world.parts.tenancy.ledger.ingest(
        [make_record(organisation, f"r{n}", charge=10, at_unix_us=now) for n in range(3)]
    )
