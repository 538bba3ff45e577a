"""Requests that happen once; alerts by webhook.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(32), nullable=False)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def _bytes(name: str, *, nullable: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _of_organisation(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organisation"], ["organisations.id"], name=f"fk_{table}_organisation"
    )


def upgrade() -> None:
    op.create_table(
        "idempotency",
        _id("organisation"),
        _id("key"),
        _text("name", 255),
        _text("fingerprint", 64),
        _text("token", 32),
        _text("request_id", 64),
        _number("claimed_until"),
        _number("kept_until"),
        _number("status", nullable=True),
        _bytes("answer", nullable=True),
        sa.PrimaryKeyConstraint("organisation", "key", "name", name="pk_idempotency"),
        sa.ForeignKeyConstraint(
            ["organisation", "key"],
            ["keys.organisation", "keys.id"],
            name="fk_idempotency_organisation_key",
        ),
    )
    op.create_index("ix_idempotency_kept_until", "idempotency", ["kept_until"])
    _webhooks()
    _alerts()


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        _id("organisation"),
        _id("id"),
        _text("url", 2000),
        _text("label", 200),
        sa.Column("events", sa.JSON(), nullable=False),
        _flag("active"),
        _bytes("secret"),
        _bytes("old_secret", nullable=True),
        _number("old_until", nullable=True),
        _number("failures"),
        _text("disabled_because", 200, nullable=True),
        _number("created"),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_webhooks"),
        _of_organisation("webhooks"),
        sa.UniqueConstraint("id", name="uq_webhooks_id"),
    )
    op.create_table(
        "webhook_hosts",
        _id("organisation"),
        _text("pattern", 260),
        _flag("private"),
        _number("created"),
        sa.PrimaryKeyConstraint("organisation", "pattern", name="pk_webhook_hosts"),
        _of_organisation("webhook_hosts"),
    )


def _alerts() -> None:
    op.create_table(
        "alerts",
        _id("organisation"),
        _id("node"),
        _number("period_start"),
        _number("percent"),
        _number("period_end"),
        _number("at"),
        sa.PrimaryKeyConstraint(
            "organisation", "node", "period_start", "percent", name="pk_alerts"
        ),
        _of_organisation("alerts"),
    )
    op.create_table(
        "webhook_outbox",
        _id("organisation"),
        _id("webhook"),
        _number("position"),
        _id("id"),
        _text("event", 64),
        sa.Column("body", sa.Text(), nullable=False),
        _text("state", 16),
        _number("attempts"),
        _number("next_at"),
        _number("created"),
        _number("ended", nullable=True),
        _text("last_error", 200, nullable=True),
        sa.PrimaryKeyConstraint("organisation", "webhook", "position", name="pk_webhook_outbox"),
        sa.ForeignKeyConstraint(
            ["organisation", "webhook"],
            ["webhooks.organisation", "webhooks.id"],
            name="fk_webhook_outbox_organisation_webhook",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_webhook_outbox_state_next_at", "webhook_outbox", ["state", "next_at"])


def downgrade() -> None:
    for table in ("webhook_outbox", "alerts", "webhook_hosts", "webhooks", "idempotency"):
        op.drop_table(table)
