"""The one door to the database: read, change (with its audit row), and append.

    read     one consistent state, refused by the database itself to write
    change   an administrative change: one at a time, with its audit row, in one transaction
    append   what is no administrative change: usage, "last used", "MLflow has heard"

`change` adds the audit row by itself when the block ends, and counts the hub's revision, so no verb
can forget either; when the block raises, nothing of it remains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, SessionTransaction

from plaza_core.clock import Clock
from plaza_core.errors import Conflict, Unavailable
from plaza_core.ids import OrganisationId, ProjectId, RandomBytes, base62
from plaza_core.principal import TenantScope
from plaza_tenancy import audit_links, dialect
from plaza_tenancy.migrate import upgrade
from plaza_tenancy.schema import AuditRow, HubRow

_HUB = 1


@dataclass(slots=True)
class Change:
    """A change being made. What is set here is what the audit row will say."""

    session: Session
    scope: TenantScope
    now: int
    """µs since 1970; the same for everything the change writes."""
    action: str
    target: str
    organisation: OrganisationId | None
    project: ProjectId | None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    _void: bool = field(default=False, init=False)

    def nothing_to_do(self) -> None:
        """Everything is already as asked: end the transaction without a trace."""
        self._void = True


class Store:
    def __init__(self, url: str, *, clock: Clock, random: RandomBytes) -> None:
        engine = dialect.open_engine(url)
        self._engine = engine
        self._reader, self._writer = dialect.reading(engine), dialect.writing(engine)
        self.clock = clock
        self.random = random
        with _translated():
            upgrade(self._writer)
            with self._writer.begin() as connection:
                epoch = base62(int.from_bytes(random(12), "big"), 17)
                first = {"id": _HUB, "epoch": epoch, "revision": 0}
                dialect.insert_new(connection, HubRow.metadata.tables["hub"], [first])

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Session]:
        with _transaction(self._reader) as (session, _):
            yield session

    @contextmanager
    def append(self) -> Iterator[Session]:
        with _transaction(self._writer) as (session, _):
            yield session

    @contextmanager
    def change(self, scope: TenantScope, action: str, target: str) -> Iterator[Change]:
        with _transaction(self._writer) as (session, transaction):
            # This row lock orders changes where the database would let them run side by side.
            hub = session.execute(select(HubRow).with_for_update()).scalar_one()
            change = Change(
                session,
                scope,
                self.clock.unix_us(),
                action,
                target,
                scope.organisation,
                scope.project,
            )
            yield change
            if change._void:  # noqa: SLF001 the two make one mechanism
                transaction.rollback()
                return
            if change.organisation is None:
                raise RuntimeError(f"{action}: a change belongs to an organisation")
            hub.revision += 1
            session.flush()
            row = AuditRow(
                at=change.now,
                actor=scope.actor,
                organisation=change.organisation,
                project=change.project,
                action=action,
                target=change.target,
                before=_plain(change.before),
                after=_plain(change.after),
            )
            audit_links.link(session, row)
            session.add(row)


def _plain(facts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if facts is None else dict(facts)


@contextmanager
def _transaction(engine: Engine) -> Iterator[tuple[Session, SessionTransaction]]:
    # Rows stay readable after the transaction: what services hand out is made from them.
    kept = Session(engine, expire_on_commit=False)
    with _translated(), kept as session, session.begin() as transaction:
        yield session, transaction


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise Conflict("something else changed at the same time; look and try again") from error
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise Unavailable("the database does not answer", retry_after=1) from error
