"""How a message comes to wait for a target: its body, its id, its place in the line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plaza_core.ids import OrganisationId, RandomBytes, new_id
from plaza_core.webhooks import Event
from plaza_tenancy.schema_webhooks import DeliveryRow, WebhookRow

PENDING, DELIVERED, GIVEN_UP = "pending", "delivered", "given_up"


def message_body(event: Event, at_unix_us: int, data: Mapping[str, Any]) -> str:
    """The payload after Standard Webhooks: type, timestamp, data."""
    moment = datetime.fromtimestamp(at_unix_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({"type": event.value, "timestamp": moment, "data": dict(data)})


def enqueue(
    session: Session, random: RandomBytes, target: WebhookRow, event: Event, *, body: str, now: int
) -> DeliveryRow:
    """Behind all that waits for this target, whose row the transaction has locked."""
    last = session.scalar(
        select(func.max(DeliveryRow.position)).where(
            DeliveryRow.organisation == target.organisation, DeliveryRow.webhook == target.id
        )
    )
    row = DeliveryRow(
        organisation=target.organisation,
        webhook=target.id,
        position=(last or 0) + 1,
        id=new_id("msg", random),
        event=event.value,
        body=body,
        state=PENDING,
        attempts=0,
        next_at=now,
        created=now,
    )
    session.add(row)
    session.flush()
    return row


def tell(
    session: Session,
    random: RandomBytes,
    organisation: OrganisationId,
    event: Event,
    *,
    data: Mapping[str, Any],
    now: int,
) -> int:
    """A message for every target of the organisation that chose this event; in the caller's
    transaction, so that the news and what it is about stand or fall together."""
    body, told = message_body(event, now, data), 0
    query = select(WebhookRow).filter_by(organisation=organisation, active=True)
    for target in session.scalars(query.order_by(WebhookRow.id).with_for_update()).all():
        if event.value in target.events:
            enqueue(session, random, target, event, body=body, now=now)
            told += 1
    return told
