"""The one door to the database: read, change (with its audit row), and append.

    read     one consistent state, refused by the database itself to write
    change   an administrative change: one at a time, with its audit row, in one transaction
    append   what is no administrative change: usage, "last used", "MLflow has heard"
    turn     for jobs that one process at a time may do

A transaction is about one scope, and the database itself keeps it there (PostgreSQL). What serves
the whole installation says so by name: `read_everything`, `append_everything`.

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
from plaza_core.ids import KeyId, OrganisationId, ProjectId, RandomBytes, base62
from plaza_core.principal import TenantScope
from plaza_tenancy import audit_links, dialect
from plaza_tenancy.migrate import prepare
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
    def __init__(
        self, url: str, *, owner_url: str | None = None, clock: Clock, random: RandomBytes
    ) -> None:
        engine = dialect.open_engine(url)
        self._engine = engine
        self._reader, self._writer = dialect.reading(engine), dialect.writing(engine)
        self.clock = clock
        self.random = random
        try:
            with _translated():
                prepare(engine, owner_url)
                self._begin_counting()
        except BaseException:
            engine.dispose()
            raise

    def _begin_counting(self) -> None:
        epoch = base62(int.from_bytes(self.random(12), "big"), 17)
        first = {"id": _HUB, "epoch": epoch, "revision": 0}
        with self._writer.begin() as connection:
            dialect.insert_new(connection, HubRow.metadata.tables["hub"], [first])

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def read(self, scope: TenantScope) -> Iterator[Session]:
        with _transaction(self._reader, *_bounds(scope)) as (session, _):
            yield session

    @contextmanager
    def read_actor(self, key: KeyId) -> Iterator[Session]:
        """For the look-up by which a key tells whose it is: nothing else is there."""
        with _transaction(self._reader, "", key) as (session, _):
            yield session

    @contextmanager
    def read_everything(self) -> Iterator[Session]:
        with _transaction(self._reader, dialect.EVERYBODY, "") as (session, _):
            yield session

    @contextmanager
    def append(self, scope: TenantScope) -> Iterator[Session]:
        with _transaction(self._writer, *_bounds(scope)) as (session, _):
            yield session

    @contextmanager
    def append_everything(self) -> Iterator[Session]:
        with _transaction(self._writer, dialect.EVERYBODY, "") as (session, _):
            yield session

    @contextmanager
    def turn(self, name: str) -> Iterator[bool]:
        """True while no other process on this database has the turn for `name`; never waits."""
        with _translated(), dialect.turn(self._writer, name) as mine:
            yield mine

    @contextmanager
    def change(self, scope: TenantScope, action: str, target: str) -> Iterator[Change]:
        with _transaction(self._writer, *_bounds(scope)) as (session, transaction):
            hub = lock_hub(session)
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


def lock_hub(session: Session) -> HubRow:
    """Order this transaction behind every change and before the next one, where the database would
    let them run side by side. It lets pass who only needs budgets to stand still
    (`books.open_book`)."""
    locked = select(HubRow).with_for_update(key_share=True)
    return session.execute(locked).scalar_one()


def _plain(facts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if facts is None else dict(facts)


def _bounds(scope: TenantScope) -> tuple[str, str]:
    """(organisation, actor) for `dialect.confine`."""
    everybody = scope.organisation is None
    return (dialect.EVERYBODY if everybody else str(scope.organisation)), scope.actor


@contextmanager
def _transaction(
    engine: Engine, organisation: str, actor: str
) -> Iterator[tuple[Session, SessionTransaction]]:
    # Rows stay readable after the transaction: what services hand out is made from them.
    kept = Session(engine, expire_on_commit=False)
    with _translated(), kept as session, session.begin() as transaction:
        dialect.confine(session, organisation, actor)
        yield session, transaction


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise Conflict("something else changed at the same time; look and try again") from error
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise Unavailable("the database does not answer", retry_after=1) from error
