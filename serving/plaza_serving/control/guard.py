"""Who may call a route. Every route declares its guard; the application refuses to start otherwise.

    Authorization: Bearer KEY ─┐
    session cookie + CSRF token ┴▶ principal ──▶ the route's Right ──▶ handler ──▶ scope on the rows

A guard says what kind of caller a route takes; whose rows it may touch is decided by the scope that
the handler asks tenancy for. Paths play no part: routing has been done when a guard runs.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from plaza_core.errors import Forbidden, Unauthenticated
from plaza_core.principal import Principal, Right
from plaza_serving.control.browser import chosen, has_session, logged_in
from plaza_serving.control.parts import Hub, Parts
from plaza_tenancy.views import Login

PUBLIC = frozenset(
    {
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/auth/login",
        "/auth/callback",
        "/auth/cli",
        "/auth/cli/redeem",
    }
)
"""The only paths that answer without a key."""

_bearer = HTTPBearer(
    auto_error=False, scheme_name="key", description="A key of this hub: `plz_…`, shown once."
)
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class Needs:
    """A key or a person whose role includes `right`; with `operator`, of the operating
    organisation."""

    def __init__(self, right: Right | None, *, operator: bool) -> None:
        self.right = right
        self.operator = operator

    def __call__(self, request: Request, hub: Hub, sent: _Bearer) -> Principal:
        principal = _caller(request, hub, sent)
        request.state.key = principal.key
        if self.right is not None:
            principal.require(self.right)
        if self.operator and not principal.operator:
            raise Forbidden("only the operating organisation may do this")
        return principal


class SessionOnly:
    """Somebody who is logged in; a key is nobody here."""

    def __init__(self, *, form: bool = False) -> None:
        self.form = form
        """The token comes in a form's field instead of a header, and the handler checks it."""

    def __call__(self, request: Request, hub: Hub) -> Login:
        return logged_in(request, hub, form=self.form)


class NodeOnly:
    """The token of this installation's nodes: replicas, never people."""

    def __call__(self, hub: Hub, sent: _Bearer) -> None:
        if sent is None or not hmac.compare_digest(
            sent.credentials.encode(), hub.node_token.encode()
        ):
            raise Unauthenticated("this is not the token of a node", input="authorization")


Guard = Needs | NodeOnly | SessionOnly


def needs(right: Right, *, operator: bool = False) -> Any:
    """For `Annotated[Principal, needs(...)]` of a handler."""
    return Depends(Needs(right, operator=operator))


Anyone = Annotated[Principal, Depends(Needs(None, operator=False))]
"""Any valid key, whatever its role."""

NODE_ONLY = Depends(NodeOnly())
SESSION_ONLY = Depends(SessionOnly())
LoggedIn = Annotated[Login, SESSION_ONLY]
FilledIn = Annotated[Login, Depends(SessionOnly(form=True))]


def _caller(request: Request, hub: Parts, sent: HTTPAuthorizationCredentials | None) -> Principal:
    if has_session(request, hub):
        return chosen(request, logged_in(request, hub).memberships)
    if sent is None:
        raise Unauthenticated("send a key: Authorization: Bearer KEY", input="authorization")
    return hub.tenancy.authenticate(sent.credentials)


def guards(route: RouteContext) -> list[Guard]:
    """The guards among the dependencies of a route, of its routers and of its parameters."""
    dependant = getattr(route, "dependant", None)
    return [] if dependant is None else list(_guards_below(dependant))


def _guards_below(dependant: Dependant) -> Iterator[Guard]:
    if isinstance(dependant.call, Guard):
        yield dependant.call
    for child in dependant.dependencies:
        yield from _guards_below(child)


def check_all_guarded(app: FastAPI) -> None:
    """Raise RuntimeError naming the first route, mount or socket without exactly one guard."""
    for route in iter_route_contexts(app.routes):
        if route.path not in PUBLIC and len(guards(route)) != 1:
            raise RuntimeError(f"the route {route.path} needs exactly one guard")
