"""Login of people: to the OpenID provider and back, and out again. Not in the OpenAPI document.

GET /auth/login ─▶ provider ─▶ GET /auth/callback ─▶ session cookie ─▶ any route, with the
token of GET /auth/session in `X-CSRF-Token` when it changes something
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from plaza_core.errors import RouteNotFound, Unauthenticated
from plaza_serving.control.guard import LoggedIn
from plaza_serving.control.logins import LOGIN_WITHIN_S, Begun, Logins
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.shapes.people import SessionView

router = APIRouter(prefix="/auth", tags=["login"], include_in_schema=False)

Text = Annotated[str | None, Query(max_length=4096)]


@router.get("/login")
async def login(
    hub: Hub, then: Annotated[str, Query(alias="next", max_length=1024)] = "/"
) -> RedirectResponse:
    """On to the provider; afterwards to `next`, a path of this hub."""
    logins = configured(hub)
    begun = await logins.begin(then)
    answer = RedirectResponse(begun.address, 303)
    set_login_cookie(answer, logins, begun)
    return answer


@router.get("/callback")
async def callback(
    request: Request, hub: Hub, state: Text = None, code: Text = None
) -> RedirectResponse:
    """Where the provider sends the browser back to."""
    logins = configured(hub)
    if code is None:
        raise Unauthenticated("the provider did not let you in", input="code")
    sealed = request.cookies.get(logins.login_cookie)
    person, verified, then = await logins.redeem(sealed, state or "", code)
    done = await run_in_threadpool(logins.open_session, person, verified=verified, then=then)
    answer = RedirectResponse(done.then, 303)
    lives = (done.session.expires_unix_us - hub.clock.unix_us()) // 1_000_000
    _set(answer, logins, logins.session_cookie, done.session.text, lives)
    _drop(answer, logins, logins.login_cookie)
    return answer


@router.get("/session")
def session(who: LoggedIn) -> SessionView:
    """Who is logged in, as what, and the token that their changes must carry."""
    return SessionView.of(who)


@router.post("/logout", status_code=204)
def logout(hub: Hub, who: LoggedIn) -> Response:
    """Here and now; the provider's own session is not touched."""
    logins = configured(hub)
    hub.tenancy.sessions.close(who.session)
    answer = Response(status_code=204)
    _drop(answer, logins, logins.session_cookie)
    return answer


def configured(hub: Parts) -> Logins:
    if hub.logins is None:
        raise RouteNotFound("people cannot log in here, for no provider is set; use a key")
    return hub.logins


def set_login_cookie(answer: Response, logins: Logins, begun: Begun) -> None:
    _set(answer, logins, logins.login_cookie, begun.sealed, LOGIN_WITHIN_S)


def _set(answer: Response, logins: Logins, name: str, value: str, lives_s: int) -> None:
    answer.set_cookie(
        name, value, max_age=lives_s, path="/", secure=logins.secure, httponly=True, samesite="lax"
    )


def _drop(answer: Response, logins: Logins, name: str) -> None:
    answer.delete_cookie(name, path="/", secure=logins.secure, httponly=True, samesite="lax")
