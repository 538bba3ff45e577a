"""A request of a browser: whose session its cookie is, whether it was meant, and as which member.

A cookie comes along with every request, also with one that another site made the browser send. So
whoever changes something by a session must show its token too, which no other site can read.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from fastapi import Request

from plaza_core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from plaza_core.principal import Principal
from plaza_serving.control.parts import Parts
from plaza_tenancy.views import Login

CSRF_HEADER = "x-csrf-token"
_HARMLESS = {"GET", "HEAD"}
_BEARER = "bearer pls_"
_ALL = "*"


def has_session(request: Request, hub: Parts) -> bool:
    """Whether the request comes by a session. A header, whatever is in it, goes before a cookie."""
    header = request.headers.get("authorization")
    if header is not None:
        return header.lower().startswith(_BEARER)
    return hub.logins is not None and hub.logins.session_cookie in request.cookies


def logged_in(request: Request, hub: Parts, *, form: bool = False) -> Login:
    """The session of this request. Raises Unauthenticated, and Forbidden when a change lacks the
    session's token. With `form` the handler looks for the token in what was filled in."""
    if not has_session(request, hub):
        raise Unauthenticated("log in first", input="cookie")
    header = request.headers.get("authorization")
    if header is not None:
        # No other site can make a browser send this, so it needs no token beside it.
        return hub.tenancy.sessions.find(header[len("bearer ") :].strip())
    assert hub.logins is not None, "there are no cookies without it"
    login = hub.tenancy.sessions.find(request.cookies[hub.logins.session_cookie])
    shown = request.headers.get(CSRF_HEADER, "")
    harmless = request.method in _HARMLESS or form
    if not harmless and not hmac.compare_digest(shown.encode(), login.csrf.encode()):
        raise Forbidden("a change needs the token of GET /auth/session", input=CSRF_HEADER)
    return login


def chosen(request: Request, memberships: Sequence[Principal]) -> Principal:
    """The membership that a request is made by.

    The organisation named in the path or in `?organisation=` decides, and `?project=` when the
    person is only in projects of it. Operators act for others by their own membership. Raises
    Forbidden without any, InvalidInput when several are left and none is named.
    """
    wanted = request.path_params.get("org") or request.query_params.get("organisation")
    if not memberships:
        raise Forbidden("you are a member of no organisation here")
    if wanted is None:
        found = list(memberships)
    else:
        found = [m for m in memberships if m.organisation_name == wanted]
        found = found or [m for m in memberships if m.operator]
        if not found and wanted != _ALL:
            raise NotFound("there is no such organisation", input="organisation")
        found = found or list(memberships)
    return _one(found, request.query_params.get("project"))


def _one(found: Sequence[Principal], project: str | None) -> Principal:
    if len({m.organisation for m in found}) > 1:
        raise InvalidInput("you are in several organisations; name one", input="organisation")
    if project is not None:
        found = [m for m in found if m.project_name == project] or found
    whole = [m for m in found if m.project is None]
    if not whole and len({m.project for m in found}) > 1:
        raise InvalidInput("you are in several projects; name one", input="project")
    return (whole or found)[0]
