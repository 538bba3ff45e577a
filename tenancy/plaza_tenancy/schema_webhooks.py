"""The tables of alerts: whom to tell, where that is allowed, what was crossed, what waits to go.

Secrets are sealed with the hub's vault key, because the hub must sign with them.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from plaza_core.ids import OrganisationId
from plaza_tenancy.schema import Base

_ID = String(32)


class WebhookRow(Base):
    """One target of an organisation."""

    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint("id"),)
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    url: Mapped[str] = mapped_column(String(2000))
    label: Mapped[str] = mapped_column(String(200))
    events: Mapped[list[str]] = mapped_column(JSON)
    active: Mapped[bool]
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    old_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    old_until: Mapped[int | None]
    """Until then messages carry a second signature, by the secret before the last rotation."""
    failures: Mapped[int]
    """Failed attempts since the last success."""
    disabled_because: Mapped[str | None] = mapped_column(String(200))
    created: Mapped[int]


class WebhookHostRow(Base):
    """A host that messages may go to. Rows belong to the operating organisation."""

    __tablename__ = "webhook_hosts"
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    pattern: Mapped[str] = mapped_column(String(260), primary_key=True)
    private: Mapped[bool]
    """Whether it may be an address inside: private, loopback, link-local."""
    created: Mapped[int]


class AlertRow(Base):
    """A budget reached a percentage in a period. Being here is what makes it happen once.

    A day, a week and a month may begin at one moment: a period is its start and its end."""

    __tablename__ = "budget_alerts"
    organisation: Mapped[OrganisationId] = mapped_column(
        _ID, ForeignKey("organisations.id"), primary_key=True
    )
    node: Mapped[str] = mapped_column(_ID, primary_key=True)
    period_start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    period_end: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    percent: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[int]


class DeliveryRow(Base):
    """A message on its way to one target. `position` grows with time: the order of delivery."""

    __tablename__ = "webhook_outbox"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organisation", "webhook"],
            ["webhooks.organisation", "webhooks.id"],
            ondelete="CASCADE",
        ),
        Index(None, "state", "next_at"),
    )
    organisation: Mapped[OrganisationId] = mapped_column(_ID, primary_key=True)
    webhook: Mapped[str] = mapped_column(_ID, primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(_ID)
    """`webhook-id` on the wire: the same in every attempt, so that receivers can drop doubles."""
    event: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    """`pending`, `delivered` or `given_up`."""
    attempts: Mapped[int]
    next_at: Mapped[int]
    created: Mapped[int]
    ended: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(String(200))
