"""`plaza login` from the terminal to a real provider and back, with a browser in between."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from urllib.parse import urlsplit

import httpx
import pytest

from tests.client.sockets import serving
from tests.serving.control.conftest import open_world
from tests.serving.control.provider import issuer, with_logins

INVITED = "/api/v1/organisations/acme/members"


class Served:
    """An application that is put together when its address is known."""

    app = None

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def provider():
    with issuer() as found:
        found.person("ann", email="ann@acme.test", email_verified=True)
        yield found


@pytest.fixture
def hub(tmp_path, provider):
    state = tmp_path / "state"
    state.mkdir()
    world, served = open_world(state), Served()
    with serving(served) as address:
        client = provider.register(f"{address}/auth/callback")
        opened = with_logins(world, provider, client, public_url=address)
        served.app = opened.app
        opened.address = address
        with httpx.Client(base_url=address, trust_env=False) as operator:
            operator.headers["authorization"] = f"Bearer {world.operator}"
            operator.post("/api/v1/organisations", json={"name": "acme"})
            body = {"email": "ann@acme.test", "role": "admin"}
            opened.member = operator.post(INVITED, json=body).json()["id"]
            opened.as_operator = operator
            yield opened
    world.parts.close_waits()
    world.parts.tenancy.close()


@pytest.fixture
def terminal(hub, tmp_path):
    """`plaza …` in a process of its own, with an empty home."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {n: v for n, v in os.environ.items() if not n.startswith("PLAZA_")}

    def start(*arguments):
        command = [sys.executable, "-m", "plaza_serving.cli", "--control", hub.address, "--json"]
        return subprocess.Popen(
            [*command, *arguments],
            cwd=home,
            env={**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    start.file = home / "config" / "plaza" / "login.json"
    return start


def said(process):
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def shown_by(process):
    """(address, words) that the terminal tells a person."""
    lines = [process.stderr.readline().strip() for _ in range(3)]
    return lines[1], lines[2].partition(": ")[2]


def agree(browser, provider, address):
    """What a person does; returns the page that asks and where agreeing leads."""
    back = provider.consent(browser.get(address).headers["location"], "ann")
    ask = browser.get(back).headers["location"]
    page = browser.get(ask)
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)[1]
    return page, ask, browser.post(ask, data={"csrf": token})


@pytest.fixture
def browser(hub):
    with httpx.Client(base_url=hub.address, trust_env=False) as browser:
        yield browser


def test_a_person_logs_in_works_and_logs_out(terminal, hub, provider, browser):
    waiting = terminal("login")
    address, words = shown_by(waiting)
    page, _, agreed = agree(browser, provider, address)
    assert words in html.unescape(page.text)
    assert "ann@acme.test" in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    where = urlsplit(agreed.headers["location"])
    assert (agreed.status_code, where.hostname) == (303, "127.0.0.1")
    with httpx.Client(trust_env=False) as plain:
        assert plain.get(agreed.headers["location"].split("?")[0]).status_code == 404
        assert plain.get(agreed.headers["location"]).status_code == 200
    code, out, _ = said(waiting)
    assert (code, set(json.loads(out))) == (0, {"expires_unix_us"})

    assert terminal.file.stat().st_mode & 0o777 == 0o600
    token = json.loads(terminal.file.read_text())[hub.address]["token"]
    assert token not in out
    code, out, err = said(terminal("keys", "create", "--role", "consumer"))
    assert code == 0, err
    code, out, _ = said(terminal("audit", "--limit", "1"))
    assert json.loads(out)[0]["actor"] == hub.member

    assert said(terminal("logout"))[0] == 0
    assert json.loads(terminal.file.read_text()) == {}
    refused = httpx.get(
        f"{hub.address}/api/v1/whoami", headers={"authorization": f"Bearer {token}"}
    )
    assert refused.status_code == 401, "it has ended at the hub too"
    assert said(terminal("keys", "list"))[0] == 1


def test_a_removed_person_is_out_in_the_terminal_too(terminal, hub, provider, browser):
    waiting = terminal("login")
    *_, agreed = agree(browser, provider, shown_by(waiting)[0])
    httpx.get(agreed.headers["location"])
    assert said(waiting)[0] == 0
    assert said(terminal("keys", "list"))[0] == 0
    hub.as_operator.delete(f"{INVITED}/{hub.member}")
    assert said(terminal("keys", "list"))[0] == 1


def test_only_the_terminal_that_asked_gets_the_session(terminal, hub, provider, browser):
    waiting = terminal("login", "--wait", "20")
    *_, agreed = agree(browser, provider, shown_by(waiting)[0])
    code = agreed.headers["location"].partition("code=")[2]
    body = {"code": code, "verifier": "v" * 43}
    stolen = browser.post("/auth/cli/redeem", json=body)
    assert (stolen.status_code, stolen.json()["input"]) == (401, "code")
    body["code"] = httpx.URL(agreed.headers["location"]).params["code"]
    stolen = browser.post("/auth/cli/redeem", json=body)
    assert (stolen.status_code, stolen.json()["input"]) == (401, "verifier")
    hub.clock.advance(61)
    httpx.get(agreed.headers["location"])
    code, _, err = said(waiting)
    assert (code, "took too long" in err) == (1, True)
    assert not terminal.file.exists()


def test_nobody_agrees_for_somebody_else(hub, provider, browser):
    """Another site can send the browser to the page and submit the form, but not read the token."""
    address = f"/auth/cli?port=5000&challenge={'c' * 43}"
    _, ask, agreed = agree(browser, provider, address)
    assert agreed.status_code == 303
    for forged in ({}, {"csrf": ""}, {"csrf": "0" * 64}):
        refused = browser.post(ask, data=forged)
        assert (refused.status_code, refused.json()["input"]) == (403, "x-csrf-token")


@pytest.mark.parametrize(
    "query",
    [
        "port=80&challenge=" + "c" * 43,
        "port=5000@evil.test&challenge=" + "c" * 43,
        "port=70000&challenge=" + "c" * 43,
        "port=5000&challenge=short",
        "port=5000&challenge=" + "<" * 43,
        "challenge=" + "c" * 43,
    ],
)
def test_a_port_is_a_port_and_a_challenge_a_challenge(hub, browser, query):
    for path in ("/auth/cli", "/auth/cli/confirm"):
        assert browser.get(f"{path}?{query}").status_code in {401, 422}
    assert browser.get(f"/auth/cli?{query}").status_code == 422


def test_a_terminal_does_not_wait_for_ever(terminal):
    code, _, err = said(terminal("login", "--wait", "0.2"))
    assert (code, "did not come back" in err) == (1, True)
