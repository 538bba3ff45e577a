"""Targets of an organisation's alerts: made with a secret that is shown once, rotated, ended.

The secret is stored sealed, not hashed, because the hub signs with it. The key of the seal is the
`vault` file of the node, so that a copy of the database alone cannot sign.
"""

from __future__ import annotations

import base64
import builtins
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plaza_core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    QuotaExceeded,
    Unavailable,
)
from plaza_core.ids import OrganisationId, new_id
from plaza_core.principal import TenantScope
from plaza_core.sealing import SealBrokenError, Sealer
from plaza_core.webhooks import BUDGET_EVENTS, EVENTS, Event, HostPattern, Target, allowed
from plaza_tenancy.checks import valid_text
from plaza_tenancy.outgoing import enqueue, message_body
from plaza_tenancy.rows import one_organisation
from plaza_tenancy.schema_webhooks import DeliveryRow, WebhookRow
from plaza_tenancy.store import Change, Store
from plaza_tenancy.views_webhooks import Delivery, NewSecret, Webhook

MOST = 16
"""Targets of one organisation."""
OVERLAP_US = 24 * 3600 * 1_000_000
"""How long messages carry two signatures after a rotation."""
_SHOWN = 100


class Webhooks:
    """Verbs need a scope on the whole organisation: a key of one project has no targets."""

    def __init__(self, store: Store, vault: Sealer | None) -> None:
        self._store = store
        self._vault = vault

    def add(
        self,
        scope: TenantScope,
        url: str,
        hosts: Iterable[HostPattern],
        *,
        events: Collection[Event] = BUDGET_EVENTS,
        label: str = "",
    ) -> NewSecret:
        """`hosts` is what operators allow (`Hosts.patterns`).

        Raises InvalidInput for a URL that is none, TargetRefused for a host that is not among
        them, QuotaExceeded for the seventeenth target.
        """
        organisation = _demand_whole(scope)
        target = Target.parse(url)
        allowed(target, hosts)
        chosen = [event for event in EVENTS if event in events]
        if Event.TEST in events:
            raise InvalidInput(f"{Event.TEST} is sent on demand, to any target", input="events")
        if not chosen:
            raise InvalidInput("choose what to be told of", input="events")
        row_id, secret = new_id("whk", self._store.random), self._new_secret()
        with self._store.change(scope, "webhook.add", row_id) as change:
            _demand_room(change.session, organisation)
            row = WebhookRow(
                organisation=organisation,
                id=row_id,
                url=url,
                label=valid_text(label, input="label"),
                events=[event.value for event in chosen],
                active=True,
                secret=self._seal(secret, organisation, row_id),
                failures=0,
                created=change.now,
            )
            change.session.add(row)
            # The path of such a URL is often a secret of the receiver's: the trail names the host.
            change.after = {"host": target.host, "events": row.events, "label": label}
            return NewSecret(Webhook.of(row), secret)

    def list(self, scope: TenantScope) -> builtins.list[Webhook]:
        """Oldest first. A key of one project sees none."""
        query = select(WebhookRow).order_by(WebhookRow.created, WebhookRow.id)
        if scope.organisation is not None:
            query = query.where(WebhookRow.organisation == scope.organisation)
        if scope.project is not None:
            return []
        with self._store.read(scope) as session:
            return [Webhook.of(row) for row in session.scalars(query)]

    def remove(self, scope: TenantScope, webhook: str) -> None:
        """What waits for it is dropped. Raises NotFound."""
        with self._changed(scope, "webhook.remove", webhook) as (change, row):
            change.before, change.after = {"events": row.events}, {"removed": True}
            change.session.delete(row)

    def rotate(self, scope: TenantScope, webhook: str) -> NewSecret:
        """A new secret. For a day messages are signed by the old one too. Raises NotFound."""
        secret = self._new_secret()
        with self._changed(scope, "webhook.rotate", webhook) as (change, row):
            row.old_secret, row.old_until = row.secret, change.now + OVERLAP_US
            row.secret = self._seal(secret, row.organisation, row.id)
            change.after = {"old_until": row.old_until}
            return NewSecret(Webhook.of(row), secret)

    def enable(self, scope: TenantScope, webhook: str) -> Webhook:
        """Let a disabled target be told again, of what comes from now on. Raises NotFound."""
        with self._changed(scope, "webhook.enable", webhook) as (change, row):
            if row.active:
                change.nothing_to_do()
            change.before = {"active": row.active, "because": row.disabled_because}
            change.after = {"active": True}
            row.active, row.failures, row.disabled_because = True, 0, None
            return Webhook.of(row)

    def test(self, scope: TenantScope, webhook: str) -> Delivery:
        """Put a message of the kind `webhook.test` on its way. Raises NotFound, Conflict."""
        with self._changed(scope, "webhook.test", webhook) as (change, row):
            if not row.active:
                raise Conflict("this target is disabled; enable it first", input="webhook")
            body = message_body(Event.TEST, change.now, {"webhook": row.id})
            random, now = self._store.random, change.now
            new = enqueue(change.session, random, row, Event.TEST, body=body, now=now)
            change.after = {"message": new.id}
            return Delivery.of(new)

    def deliveries(self, scope: TenantScope, webhook: str) -> builtins.list[Delivery]:
        """The last hundred messages, newest first. Raises NotFound."""
        organisation = one_organisation(scope)
        with self._store.read(scope) as session:
            _find(session, scope, webhook)
            query = (
                select(DeliveryRow)
                .where(DeliveryRow.organisation == organisation, DeliveryRow.webhook == webhook)
                .order_by(DeliveryRow.position.desc())
                .limit(_SHOWN)
            )
            return [Delivery.of(row) for row in session.scalars(query)]

    def secrets_of(self, row: WebhookRow, now: int) -> tuple[str, ...]:
        """What a message to this target is signed with now. Raises Unavailable without a vault."""
        old = row.old_secret if row.old_until is not None and now < row.old_until else None
        return tuple(self._unseal(one, row) for one in (row.secret, old) if one is not None)

    @contextmanager
    def _changed(
        self, scope: TenantScope, action: str, webhook: str
    ) -> Iterator[tuple[Change, WebhookRow]]:
        _demand_whole(scope)
        with self._store.change(scope, action, webhook[:200]) as change:
            yield change, _find(change.session, scope, webhook, lock=True)

    def _new_secret(self) -> str:
        return "whsec_" + base64.b64encode(self._store.random(32)).decode()

    def _seal(self, secret: str, organisation: OrganisationId, webhook: str) -> bytes:
        if self._vault is None:
            raise Unavailable("this hub has no vault for secrets")
        return self._vault.seal(secret.encode(), f"{organisation}|{webhook}")

    def _unseal(self, sealed: bytes, row: WebhookRow) -> str:
        if self._vault is None:
            raise Unavailable("this hub has no vault for secrets")
        try:
            return self._vault.open(sealed, f"{row.organisation}|{row.id}").decode()
        except SealBrokenError as error:
            raise Unavailable("a stored secret does not open with this node's vault") from error


def _find(session: Session, scope: TenantScope, webhook: str, *, lock: bool = False) -> WebhookRow:
    query = select(WebhookRow).where(WebhookRow.id == webhook)
    if lock:
        query = query.with_for_update()
    if scope.organisation is not None:
        query = query.where(WebhookRow.organisation == scope.organisation)
    row = session.scalars(query).one_or_none()
    if row is None or scope.project is not None:
        raise NotFound("there is no such target", input="webhook")
    return row


def _demand_whole(scope: TenantScope) -> OrganisationId:
    organisation = one_organisation(scope)
    if scope.project is not None:
        raise Forbidden("a key of one project may not change who hears of alerts")
    return organisation


def _demand_room(session: Session, organisation: OrganisationId) -> None:
    count = select(func.count()).where(WebhookRow.organisation == organisation)
    if (session.scalar(count) or 0) >= MOST:
        raise QuotaExceeded(f"an organisation has at most {MOST} targets", input="url")
