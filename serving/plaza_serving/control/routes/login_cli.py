"""`plaza login`: a browser vouches for a command line on the same computer. Not in the OpenAPI.

    terminal listens on loopback ─▶ browser: GET /auth/cli ─▶ login ─▶ page asks ─▶ yes
    terminal ◀─ 127.0.0.1:port?code=… ◀─ POST /auth/cli/confirm
    terminal: POST /auth/cli/redeem, with the verifier that only it knows ─▶ a session of its own

The page asks because a link can be sent by anybody; it shows the words that the terminal shows.
"""

from __future__ import annotations

import hmac
from html import escape
from typing import Annotated
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from plaza_core.errors import Forbidden
from plaza_serving.control.browser import CSRF_HEADER
from plaza_serving.control.guard import FilledIn, LoggedIn
from plaza_serving.control.parts import Hub
from plaza_serving.control.routes.login import configured, set_login_cookie
from plaza_serving.control.shapes.people import CliRedeem, CliSession

router = APIRouter(prefix="/auth/cli", tags=["login"], include_in_schema=False)

Port = Annotated[int, Query(ge=1024, le=65_535)]
Challenge = Annotated[str, Query(pattern=r"^[A-Za-z0-9_-]{43}$")]

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>plaza login</title>
<h1>Let the command line in?</h1>
<p>A terminal on this computer wants to work here as <b>{email}</b>.</p>
<p>Agree only if you have just typed <code>plaza login</code> and it shows <b>{words}</b>.</p>
<form method="post"><input type="hidden" name="csrf" value="{csrf}"><button>Agree</button></form>
"""


@router.get("")
async def begin(hub: Hub, port: Port, challenge: Challenge) -> RedirectResponse:
    """On to the provider, and then to the page that asks."""
    logins = configured(hub)
    query = urlencode({"port": port, "challenge": challenge})
    begun = await logins.begin(f"{router.prefix}/confirm?{query}")
    answer = RedirectResponse(begun.address, 303)
    set_login_cookie(answer, logins, begun)
    return answer


@router.get("/confirm")
def ask(who: LoggedIn, port: Port, challenge: Challenge) -> HTMLResponse:
    page = _PAGE.format(email=escape(who.person.email), words=words(challenge), csrf=who.csrf)
    policy = (
        f"default-src 'none'; frame-ancestors 'none'; form-action 'self' http://127.0.0.1:{port}"
    )
    return HTMLResponse(page, headers={"content-security-policy": policy})


@router.post("/confirm")
async def agree(
    request: Request, hub: Hub, who: FilledIn, port: Port, challenge: Challenge
) -> RedirectResponse:
    """Tell the terminal, which is on this very computer, by way of the browser."""
    form = parse_qs((await request.body()).decode(errors="replace"))
    if not hmac.compare_digest(form.get("csrf", [""])[0].encode(), who.csrf.encode()):
        raise Forbidden("this page was not asked for here", input=CSRF_HEADER)
    code = configured(hub).granted(who.person, challenge)
    return RedirectResponse(f"http://127.0.0.1:{port}/?{urlencode({'code': code})}", 303)


@router.post("/redeem")
def redeem(hub: Hub, body: CliRedeem) -> CliSession:
    """A session for whoever knows what the challenge was made of."""
    made = configured(hub).redeem_granted(body.code, body.verifier)
    return CliSession(token=made.text, expires_unix_us=made.expires_unix_us)


def words(challenge: str) -> str:
    """What people compare: eight characters of the challenge."""
    return f"{challenge[:4]} {challenge[4:8]}"
