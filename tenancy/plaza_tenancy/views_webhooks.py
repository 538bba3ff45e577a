"""What the services about webhooks hand out. A secret is in `NewSecret` only, and its text is not
in any representation."""

from __future__ import annotations

from dataclasses import dataclass, field

from plaza_tenancy.schema_webhooks import DeliveryRow, WebhookRow


@dataclass(frozen=True, slots=True)
class Webhook:
    """A target. `url` without its query, which may hold a secret of the receiver's."""

    id: str
    url: str
    label: str
    events: tuple[str, ...]
    active: bool
    failures: int
    """Failed attempts since the last success."""
    disabled_because: str | None
    old_secret_until_unix_us: int | None
    """After a rotation: how long messages are signed by the old secret too."""
    created_unix_us: int

    @staticmethod
    def of(row: WebhookRow) -> Webhook:
        address, query, _ = row.url.partition("?")
        return Webhook(
            id=row.id,
            url=address + ("?…" if query else ""),
            label=row.label,
            events=tuple(row.events),
            active=row.active,
            failures=row.failures,
            disabled_because=row.disabled_because,
            old_secret_until_unix_us=row.old_until,
            created_unix_us=row.created,
        )


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A target with the secret that was just made for it: `whsec_…`, shown once."""

    webhook: Webhook
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to one target. `state` is `pending`, `delivered` or `given_up`."""

    id: str
    event: str
    state: str
    attempts: int
    created_unix_us: int
    next_unix_us: int | None
    """When it is tried next, while it is pending."""
    ended_unix_us: int | None
    last_error: str | None

    @staticmethod
    def of(row: DeliveryRow) -> Delivery:
        return Delivery(
            id=row.id,
            event=row.event,
            state=row.state,
            attempts=row.attempts,
            created_unix_us=row.created,
            next_unix_us=row.next_at if row.state == "pending" else None,
            ended_unix_us=row.ended,
            last_error=row.last_error,
        )
