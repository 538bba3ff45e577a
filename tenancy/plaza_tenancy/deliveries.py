"""The outbox of webhooks: what is due, what became of it, and when a target is given up.

In order per target: a message waits for the ones before it. After a failure the pause grows; a
message that a day of attempts did not deliver is given up, and with it the target, which is an
administrative change and leaves its audit row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from plaza_core.errors import Unavailable
from plaza_core.webhooks import Attempt, Message
from plaza_tenancy.access import system_scope
from plaza_tenancy.outgoing import DELIVERED, GIVEN_UP, PENDING
from plaza_tenancy.schema_webhooks import AlertRow, DeliveryRow, WebhookRow
from plaza_tenancy.store import Store

logger = logging.getLogger(__name__)

GIVE_UP_US = 24 * 3600 * 1_000_000
RESERVED_US = 60 * 1_000_000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5, 3600
_REMEMBERED_US = 90 * 24 * 3600 * 1_000_000

SecretsOf = Callable[[WebhookRow, int], tuple[str, ...]]


class Deliveries:
    """For the delivery job: all tenants at once, no scope."""

    def __init__(self, store: Store, secrets_of: SecretsOf) -> None:
        self._store = store
        self._secrets_of = secrets_of

    def take(self, limit: int) -> list[Message]:
        """What is due, at most one message per target: its first that waits. Each is reserved for
        a minute, so that of several processes one sends it."""
        now = self._store.clock.unix_us()
        with self._store.append_everything() as session:
            found = session.execute(_due(now).limit(limit)).all()
            taken = [
                self._message(delivery, target, now)
                for delivery, target in found
                if _reserve(session, delivery, now + RESERVED_US)
            ]
        return [message for message in taken if message is not None]

    def note(self, message: Message, attempt: Attempt) -> None:
        now = self._store.clock.unix_us()
        age = now - message.created_unix_us
        if not attempt.delivered and (attempt.gone or age >= GIVE_UP_US):
            self._give_up(message, attempt, now)
            return
        with self._store.append_everything() as session:
            values: dict[str, Any] = {"attempts": message.attempts + 1, "last_error": attempt.error}
            if attempt.delivered:
                values |= {"state": DELIVERED, "ended": now}
                _target(session, message, {"failures": 0})
            else:
                pause = backoff_us(message.attempts + 1, self._store.random)
                values["next_at"] = min(now + pause, message.created_unix_us + GIVE_UP_US)
                _target(session, message, {"failures": WebhookRow.failures + 1})
            _delivery(session, message, values)

    def expire(self) -> int:
        """Forget what ended long ago; returns how many messages."""
        past = self._store.clock.unix_us() - _REMEMBERED_US
        with self._store.append_everything() as session:
            gone = session.execute(delete(DeliveryRow).where(DeliveryRow.ended < past))
            session.execute(delete(AlertRow).where(AlertRow.period_end < past))
        return int(getattr(gone, "rowcount", 0))

    def _message(self, row: DeliveryRow, target: WebhookRow, now: int) -> Message | None:
        """None for a target whose secret does not open here: others must not wait for it."""
        try:
            secrets = self._secrets_of(target, now)
        except Unavailable as error:
            logger.warning("no message: %s", error.message, extra={"webhook": target.id})
            return None
        return Message(
            organisation=row.organisation,
            webhook=row.webhook,
            position=row.position,
            id=row.id,
            url=target.url,
            body=row.body,
            secrets=secrets,
            attempts=row.attempts,
            created_unix_us=row.created,
        )

    def _give_up(self, message: Message, attempt: Attempt, now: int) -> None:
        """This message, all that waits behind it, and the target, until somebody enables it."""
        why = "it said that it is gone" if attempt.gone else "a day of attempts failed"
        with self._store.change(system_scope(), "webhook.disable", message.webhook) as change:
            session = change.session
            row = session.get(WebhookRow, (message.organisation, message.webhook))
            if row is None or not row.active:
                change.nothing_to_do()
                return
            change.organisation = row.organisation
            change.before = {"active": True}
            change.after = {"active": False, "because": why, "last_error": attempt.error}
            row.active, row.disabled_because = False, why
            row.failures += 1
            last = {"attempts": message.attempts + 1, "last_error": attempt.error}
            _delivery(session, message, last)
            session.execute(
                update(DeliveryRow)
                .where(
                    DeliveryRow.organisation == message.organisation,
                    DeliveryRow.webhook == message.webhook,
                    DeliveryRow.state == PENDING,
                )
                .values(state=GIVEN_UP, ended=now)
            )


def backoff_us(attempts: int, draw: Callable[[int], bytes]) -> int:
    """How long to wait after so many failed attempts: 5 s doubled each time up to an hour, of
    which a random half is taken off, so that targets that failed together do not return so."""
    full = _FIRST_PAUSE_S << min(attempts - 1, 20)
    full_us = min(_LONGEST_PAUSE_S, full) * 1_000_000
    return full_us - int.from_bytes(draw(4), "big") * (full_us // 2) // 2**32


def _due(now: int) -> Any:
    """The head of each target's line, where its time has come."""
    head = (
        select(
            DeliveryRow.organisation,
            DeliveryRow.webhook,
            func.min(DeliveryRow.position).label("position"),
        )
        .where(DeliveryRow.state == PENDING)
        .group_by(DeliveryRow.organisation, DeliveryRow.webhook)
        .subquery()
    )
    return (
        select(DeliveryRow, WebhookRow)
        .join(
            head,
            (head.c.organisation == DeliveryRow.organisation)
            & (head.c.webhook == DeliveryRow.webhook)
            & (head.c.position == DeliveryRow.position),
        )
        .join(
            WebhookRow,
            (WebhookRow.organisation == DeliveryRow.organisation)
            & (WebhookRow.id == DeliveryRow.webhook),
        )
        .where(DeliveryRow.next_at <= now, WebhookRow.active)
        .order_by(DeliveryRow.next_at)
    )


def _reserve(session: Session, row: DeliveryRow, until: int) -> bool:
    """Only where nobody else has: the row is still as it was seen."""
    taken = session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.organisation == row.organisation,
            DeliveryRow.webhook == row.webhook,
            DeliveryRow.position == row.position,
            DeliveryRow.state == PENDING,
            DeliveryRow.next_at == row.next_at,
        )
        .values(next_at=until)
        .execution_options(synchronize_session=False)
    )
    return bool(getattr(taken, "rowcount", 0))


def _delivery(session: Session, message: Message, values: dict[str, Any]) -> None:
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.organisation == message.organisation,
            DeliveryRow.webhook == message.webhook,
            DeliveryRow.position == message.position,
            DeliveryRow.state == PENDING,
        )
        .values(**values)
    )


def _target(session: Session, message: Message, values: dict[str, Any]) -> None:
    session.execute(
        update(WebhookRow)
        .where(
            WebhookRow.organisation == message.organisation,
            WebhookRow.id == message.webhook,
            WebhookRow.active,
        )
        .values(**values)
    )
