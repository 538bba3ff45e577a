"""Alerts: whom an organisation wants told of its budgets, and where operators let that go."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from plaza_core.principal import Principal, Right
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.shapes.alerts import AllowedHost, NewWebhook, NewWebhookAnswer, Removed
from plaza_serving.control.shapes.base import Items
from plaza_tenancy.views_webhooks import Delivery, Webhook

router = APIRouter(prefix="/api/v1", tags=["alerts"])

Reader = Annotated[Principal, needs(Right.TENANTS_READ)]
Writer = Annotated[Principal, needs(Right.TENANTS_WRITE)]
Operator = Annotated[Principal, needs(Right.TENANTS_WRITE, operator=True)]

_ALERTS = "/organisations/{org}/alerts"
_ONE = _ALERTS + "/{webhook}"


@router.get(_ALERTS, summary="List targets of alerts")
def list_alerts(hub: Hub, who: Reader, org: str) -> Items[Webhook]:
    """Without their secrets. A key of one project sees none."""
    scope = hub.tenancy.scope(who, Right.TENANTS_READ, organisation=org)
    return Items(items=hub.tenancy.webhooks.list(scope))


@router.post(_ALERTS, status_code=201, summary="Have alerts sent to a URL")
def add_alert(hub: Hub, who: Writer, org: str, body: NewWebhook) -> NewWebhookAnswer:
    """Signed after the Standard Webhooks specification; the secret is in this answer only."""
    scope = hub.tenancy.scope(who, Right.TENANTS_WRITE, organisation=org)
    hosts = hub.tenancy.hosts.patterns()
    made = hub.tenancy.webhooks.add(scope, body.url, hosts, events=body.events, label=body.label)
    return NewWebhookAnswer.of(made)


@router.delete(_ONE, summary="Send no more alerts to a target")
def remove_alert(hub: Hub, who: Writer, org: str, webhook: str) -> Removed:
    """What waits for it is dropped."""
    scope = hub.tenancy.scope(who, Right.TENANTS_WRITE, organisation=org)
    hub.tenancy.webhooks.remove(scope, webhook)
    return Removed(removed=webhook)


@router.post(_ONE + "/rotate", summary="Make a new secret for a target")
def rotate_alert(hub: Hub, who: Writer, org: str, webhook: str) -> NewWebhookAnswer:
    """For a day messages are signed by the old one too."""
    scope = hub.tenancy.scope(who, Right.TENANTS_WRITE, organisation=org)
    return NewWebhookAnswer.of(hub.tenancy.webhooks.rotate(scope, webhook))


@router.post(_ONE + "/enable", summary="Use a disabled target again")
def enable_alert(hub: Hub, who: Writer, org: str, webhook: str) -> Webhook:
    """It hears of what happens from now on."""
    scope = hub.tenancy.scope(who, Right.TENANTS_WRITE, organisation=org)
    return hub.tenancy.webhooks.enable(scope, webhook)


@router.post(_ONE + "/test", status_code=202, summary="Send a target a test message")
def test_alert(hub: Hub, who: Writer, org: str, webhook: str) -> Delivery:
    """It goes out within a second or two, after what waits already; see its deliveries."""
    scope = hub.tenancy.scope(who, Right.TENANTS_WRITE, organisation=org)
    return hub.tenancy.webhooks.test(scope, webhook)


@router.get(_ONE + "/deliveries", summary="List what was sent to a target")
def list_deliveries(hub: Hub, who: Reader, org: str, webhook: str) -> Items[Delivery]:
    """The last hundred messages, newest first, with what became of them."""
    scope = hub.tenancy.scope(who, Right.TENANTS_READ, organisation=org)
    return Items(items=hub.tenancy.webhooks.deliveries(scope, webhook))


@router.get("/alert-hosts", summary="List where alerts may go")
def list_alert_hosts(hub: Hub, who: Operator) -> Items[AllowedHost]:
    """For operators. Empty, no alert goes anywhere."""
    return _hosts(hub, who)


@router.post("/alert-hosts", status_code=201, summary="Allow alerts to go to a host")
def allow_alert_host(hub: Hub, who: Operator, body: AllowedHost) -> AllowedHost:
    """For operators. Again with another `private` changes that."""
    scope = hub.tenancy.platform(who, Right.TENANTS_WRITE)
    made = hub.tenancy.hosts.allow(scope, body.pattern, private=body.private)
    return AllowedHost(pattern=made.text, private=made.private)


@router.delete("/alert-hosts/{pattern:path}", summary="Let no alert go to a host any more")
def disallow_alert_host(hub: Hub, who: Operator, pattern: str) -> Items[AllowedHost]:
    """For operators. From the next attempt on; answers with what is left."""
    hub.tenancy.hosts.disallow(hub.tenancy.platform(who, Right.TENANTS_WRITE), pattern)
    return _hosts(hub, who)


def _hosts(hub: Parts, who: Principal) -> Items[AllowedHost]:
    found = hub.tenancy.hosts.list(hub.tenancy.platform(who, Right.TENANTS_WRITE))
    return Items(items=[AllowedHost(pattern=one.text, private=one.private) for one in found])
