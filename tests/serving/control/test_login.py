"""People log in at a real OpenID provider, and what somebody may try on the way."""

from __future__ import annotations

import logging
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

import pytest

from plaza_core.errors import InvalidInput
from plaza_core.settings import Settings
from plaza_serving.control.logins import CALLBACK, logins_of, own_path
from tests.serving.control.provider import HUB, Browser, issuer, query_of, with_logins

ORG = "/api/v1/organisations/acme"


@pytest.fixture(scope="module")
def provider():
    with issuer() as found:
        found.person("ann", email="Ann@acme.test", email_verified=True)
        found.person("bob", email="bob@acme.test", email_verified=True)
        found.person("eve", email="ann@acme.test", email_verified=False)
        found.person("mute")
        yield found


@pytest.fixture
async def hub(world, provider):
    """An organisation with its admin's key, where people may log in."""
    opened = with_logins(world, provider, provider.register())
    opened.acme = await opened.organisation("acme", admin={"role": "admin"})
    yield opened
    await opened.parts.logins.close()


@pytest.fixture
async def browser(hub, provider):
    opened = Browser(hub, provider)
    yield opened
    await opened.http.aclose()


async def invite(hub, email, role="admin", organisation="acme", **more):
    url = f"/api/v1/organisations/{organisation}/members"
    body = {"email": email, "role": role, **more}
    made = await hub.ask(hub.operator, "POST", url, json=body)
    assert made.status_code == 201, made.text
    return made.json()["id"]


def refusal(answer):
    assert set(answer.json()) == {"error", "code", "input", "request_id"}
    return answer.status_code, answer.json()["code"], answer.json()["input"]


async def test_an_invited_person_logs_in_works_and_leaves(hub, browser):
    await invite(hub, "ann@acme.test", role="admin")
    back = await browser.log_in("ann", then="/console/keys?page=2")
    assert (back.status_code, back.headers["location"]) == (303, "/console/keys?page=2")

    me = (await browser.ask("GET", "/api/v1/whoami")).json()
    assert (me["organisation_name"], me["role"], me["operator"]) == ("acme", "admin", False)
    session = (await browser.ask("GET", "/auth/session")).json()
    assert session["email"] == "Ann@acme.test"
    assert [m["organisation_name"] for m in session["memberships"]] == ["acme"]

    made = await browser.ask("POST", f"{ORG}/keys", json={"role": "consumer"})
    assert made.status_code == 201
    trail = await hub.ask(hub.acme["admin"], "GET", "/api/v1/audit")
    assert trail.json()["items"][0]["actor"] == me["key"]

    assert (await browser.ask("POST", "/auth/logout")).status_code == 204
    assert browser.http.cookies == {}
    assert refusal(await browser.ask("GET", "/api/v1/whoami"))[0] == 401


async def test_the_way_there_carries_state_nonce_and_a_pkce_challenge(hub, browser, provider):
    asked = query_of(await browser.begin())
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["scope"] == "openid email"
    assert asked["redirect_uri"] == HUB + CALLBACK
    other = query_of(await Browser(hub, provider).begin())
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name]) >= 43
        assert asked[name] != other[name]
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3


async def test_cookies_are_out_of_reach_of_scripts_and_other_sites(hub, browser, provider):
    await invite(hub, "ann@acme.test")
    begun = await browser.http.get("/auth/login")
    back = await browser.log_in("ann")
    for answer in (begun, back):
        for header in answer.headers.get_list("set-cookie"):
            for cookie in SimpleCookie(header).values():
                assert cookie["httponly"]
                assert cookie["samesite"] == "lax"
                assert cookie["path"] == "/"
                assert not cookie["domain"]
                assert not cookie["secure"], "loopback has no encryption"

    safe = with_logins(hub, provider, provider.register(), public_url="https://hub.test/")
    encrypted = Browser(safe, provider, "https://hub.test")
    answer = await encrypted.http.get("/auth/login")
    assert query_of(answer.headers["location"])["redirect_uri"] == "https://hub.test" + CALLBACK
    header = answer.headers["set-cookie"]
    assert header.startswith("__Host-plaza-login=")
    assert "Secure" in header
    await safe.parts.logins.close()


async def test_nobody_gets_in_by_being_known_to_the_provider(hub, browser):
    refused = await browser.log_in("bob")
    assert refusal(refused) == (403, "forbidden", None)
    assert "plaza-session" not in browser.http.cookies


async def test_an_address_that_is_not_verified_takes_no_invitation(hub, browser):
    member = await invite(hub, "ann@acme.test")
    for subject in ("eve", "mute"):
        assert (await browser.log_in(subject)).status_code == 403
    found = (await hub.ask(hub.acme["admin"], "GET", f"{ORG}/members")).json()["items"]
    assert [(m["id"], m["subject"]) for m in found] == [(member, None)]


async def test_a_callback_counts_only_in_the_browser_that_began_it(hub, browser, provider):
    """Else an attacker could log a victim in as the attacker, or steal a login under way."""
    await invite(hub, "ann@acme.test")
    back = provider.consent(await browser.begin(), "ann")
    stranger = Browser(hub, provider)
    assert refusal(await stranger.come_back(back)) == (401, "unauthenticated", "cookie")
    await stranger.begin()
    assert refusal(await stranger.come_back(back)) == (401, "unauthenticated", "state")
    assert (await browser.come_back(back)).status_code == 303, "the attempts spent nothing"


@pytest.mark.parametrize("state", ["", "wrong", "é", None])
async def test_a_wrong_state_never_reaches_the_provider(hub, browser, provider, state):
    await invite(hub, "ann@acme.test")
    code = query_of(provider.consent(await browser.begin(), "ann"))["code"]
    query = {"code": code} | ({} if state is None else {"state": state})
    answer = await browser.http.get(f"{CALLBACK}?{urlencode(query)}")
    assert refusal(answer) == (401, "unauthenticated", "state")


async def test_a_code_works_once(hub, browser, provider):
    await invite(hub, "ann@acme.test")
    back = provider.consent(await browser.begin(), "ann")
    login_cookie = browser.http.cookies["plaza-login"]
    assert (await browser.come_back(back)).status_code == 303
    assert refusal(await browser.come_back(back)) == (401, "unauthenticated", "cookie")
    browser.http.cookies.clear()
    browser.http.cookies.set("plaza-login", login_cookie)
    assert refusal(await browser.come_back(back)) == (401, "unauthenticated", "code")
    assert "plaza-session" not in browser.http.cookies


async def test_a_code_of_another_login_has_the_wrong_nonce(hub, browser, provider):
    """A stolen code, put into a login of the thief's own: state and cookie fit, the nonce does
    not. (This provider would give the token out: it does not look at the PKCE verifier.)"""
    await invite(hub, "ann@acme.test")
    stolen = query_of(provider.consent(await browser.begin(), "ann"))["code"]
    thief = Browser(hub, provider)
    own = query_of(await thief.begin())["state"]
    answer = await thief.http.get(f"{CALLBACK}?{urlencode({'code': stolen, 'state': own})}")
    assert refusal(answer)[:2] == (401, "unauthenticated")
    assert "another login" in answer.json()["error"]


async def test_a_code_for_another_client_is_refused(hub, browser, provider):
    await invite(hub, "ann@acme.test")
    begun = await browser.begin()
    other = provider.register()[0]
    asked = query_of(begun)
    elsewhere = f"{begun.split('?')[0]}?{urlencode(asked | {'client_id': other})}"
    answer = await browser.come_back(provider.consent(elsewhere, "ann"))
    assert refusal(answer) == (401, "unauthenticated", "code")


async def test_a_hub_with_a_wrong_secret_lets_nobody_in(world, provider):
    name, _ = provider.register()
    hub = with_logins(world, provider, (name, "wrong"))
    browser = Browser(hub, provider)
    assert (await browser.log_in("ann")).status_code == 401
    await hub.parts.logins.close()


async def test_somebody_who_says_no_and_a_provider_that_says_nothing(hub, browser):
    await browser.begin()
    denied = await browser.http.get(f"{CALLBACK}?error=access_denied&state=x")
    assert refusal(denied) == (401, "unauthenticated", "code")


async def test_a_login_takes_ten_minutes_at_most(hub, browser, provider):
    await invite(hub, "ann@acme.test")
    back = provider.consent(await browser.begin(), "ann")
    hub.clock.advance(601)
    assert refusal(await browser.come_back(back)) == (401, "unauthenticated", "cookie")


async def test_a_session_ends_after_its_hours(hub, browser):
    await invite(hub, "ann@acme.test")
    await browser.log_in("ann")
    hub.clock.advance(12 * 3600 - 5)
    assert (await browser.ask("GET", "/api/v1/whoami")).status_code == 200
    hub.clock.advance(10)
    assert refusal(await browser.ask("GET", "/api/v1/whoami")) == (401, "unauthenticated", "cookie")


async def test_a_sealed_cookie_cannot_be_made_or_changed(hub, browser, provider):
    back = provider.consent(await browser.begin(), "ann")
    sealed = browser.http.cookies["plaza-login"]
    body, _, mac = sealed.partition(".")
    for forged in ("", ".", body, f"{body}A.{mac}", f"{body}.{mac[:-1]}", f"e30=.{mac}"):
        browser.http.cookies.clear()
        browser.http.cookies.set("plaza-login", forged)
        assert refusal(await browser.come_back(back)) == (401, "unauthenticated", "cookie")


async def test_a_change_without_the_sessions_token_is_refused(hub, browser, provider):
    await invite(hub, "ann@acme.test")
    await browser.log_in("ann")
    await invite(hub, "bob@acme.test")
    other = Browser(hub, provider)
    await other.log_in("bob")
    body = {"role": "consumer"}
    for token in ("", "wrong", other.csrf):
        browser.csrf, mine = token, browser.csrf
        answer = await browser.ask("POST", f"{ORG}/keys", json=body)
        assert refusal(answer) == (403, "forbidden", "x-csrf-token")
        assert (await browser.ask("POST", "/auth/logout")).status_code == 403
        browser.csrf = mine
    assert (await browser.ask("POST", f"{ORG}/keys", json=body)).status_code == 201


async def test_a_key_and_a_session_do_not_mix(hub, browser):
    await invite(hub, "ann@acme.test")
    await browser.log_in("ann")
    for wrong in ("Bearer plz_wrong", "Basic eDp5", ""):
        answer = await browser.ask("GET", "/api/v1/whoami", headers={"authorization": wrong})
        assert answer.status_code == 401, "a refused key is not helped out by a cookie"
    for path, method in (("/auth/session", "GET"), ("/auth/logout", "POST")):
        assert (await hub.ask(hub.operator, method, path)).status_code == 401


@pytest.mark.parametrize(
    "then",
    [
        "https://evil.test/", "//evil.test", "///evil.test", "/\\evil.test", "\\\\evil.test",
        "http:evil.test", "javascript:alert(1)", "", "evil", "/\tevil", "/\n/evil.test", "/ /x",
        "/é", "/\x00", "@evil.test",
    ],
)  # fmt: skip
async def test_a_login_never_ends_elsewhere(hub, browser, then):
    answer = await browser.http.get("/auth/login", params={"next": then})
    assert refusal(answer) == (422, "invalid_input", "next")
    with pytest.raises(InvalidInput):
        own_path(then)


async def test_the_callback_goes_where_the_cookie_says_not_the_address(hub, browser, provider):
    await invite(hub, "ann@acme.test")
    back = provider.consent(await browser.begin("/here"), "ann")
    answer = await browser.come_back(f"{back}&next=https://evil.test&then=//evil.test")
    assert answer.headers["location"] == "/here"


async def test_who_is_in_several_organisations_names_one(hub, browser):
    await hub.organisation("globex")
    await hub.organisation("initech")
    await invite(hub, "ann@acme.test", role="admin")
    await invite(hub, "ann@acme.test", role="auditor", organisation="globex")
    await browser.log_in("ann")
    answer = await browser.ask("GET", "/api/v1/whoami")
    assert refusal(answer) == (422, "invalid_input", "organisation")
    for name, role in (("acme", "admin"), ("globex", "auditor")):
        me = (await browser.ask("GET", f"/api/v1/whoami?organisation={name}")).json()
        assert (me["organisation_name"], me["role"]) == (name, role)
        shown = await browser.ask("GET", f"/api/v1/organisations/{name}/members")
        assert shown.status_code == 200, "the path names it too"
    keys = "/api/v1/organisations/globex/keys"
    assert (await browser.ask("POST", keys, json={"role": "consumer"})).status_code == 403
    for foreign in ("initech", "nowhere"):
        answer = await browser.ask("GET", f"/api/v1/organisations/{foreign}/members")
        assert refusal(answer) == (404, "not_found", "organisation")
        answer = await browser.ask("GET", f"/api/v1/usage?organisation={foreign}")
        assert refusal(answer) == (404, "not_found", "organisation")


async def test_who_is_in_several_projects_names_one(hub, browser):
    url = f"{ORG}/projects"
    await hub.ask(hub.acme["admin"], "POST", url, json={"name": "lab"})
    await invite(hub, "ann@acme.test", role="engineer", project="lab")
    await invite(hub, "ann@acme.test", role="consumer", project="main")
    await browser.log_in("ann")
    assert refusal(await browser.ask("GET", "/api/v1/whoami"))[2] == "project"
    me = (await browser.ask("GET", "/api/v1/whoami?project=lab")).json()
    assert (me["project_name"], me["role"]) == ("lab", "engineer")


async def test_an_operators_session_acts_for_others(hub, browser):
    await invite(hub, "ann@acme.test", organisation="plaza")
    await browser.log_in("ann")
    assert (await browser.ask("GET", "/api/v1/status")).status_code == 200
    assert (await browser.ask("GET", "/api/v1/usage?organisation=*")).status_code == 200
    made = await browser.ask("POST", f"{ORG}/keys", json={"role": "admin"})
    assert made.status_code == 201


async def test_removing_a_member_works_at_the_next_request(hub, browser):
    member = await invite(hub, "ann@acme.test")
    await browser.log_in("ann")
    gone = await hub.ask(hub.acme["admin"], "DELETE", f"{ORG}/members/{member}")
    assert gone.status_code == 200
    assert refusal(await browser.ask("GET", "/api/v1/whoami"))[:2] == (403, "forbidden")
    assert (await browser.log_in("ann")).status_code == 403


async def test_no_log_line_holds_a_code_a_cookie_or_a_token(hub, browser, provider, caplog):
    await invite(hub, "ann@acme.test")
    with caplog.at_level(logging.DEBUG, logger="plaza_serving"):
        begun = await browser.begin()
        sealed = browser.http.cookies["plaza-login"]
        back = provider.consent(begun, "ann")
        await browser.come_back(back)
        await browser.ask("GET", "/api/v1/whoami")
    lines = "\n".join(str(vars(r)) for r in caplog.records if r.name.startswith("plaza_serving"))
    assert "/auth/callback" in lines
    secrets = [query_of(back)["code"], query_of(back)["state"], sealed]
    secrets += [browser.http.cookies["plaza-session"].split("_")[2]]
    assert not [secret for secret in secrets if secret in lines]


async def test_without_a_provider_there_is_no_login_and_no_session(world):
    for path in ("/auth/login", CALLBACK):
        assert refusal(await world.ask(None, "GET", path)) == (404, "route_not_found", None)
    async with world.client(cookie="plaza-session=pls_x") as client:
        assert (await client.get("/api/v1/whoami")).status_code == 401
        assert (await client.get("/auth/session")).status_code == 401


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"oidc_client_id": None}, "oidc_client_id"),
        ({"public_url": "http://hub.test"}, "public_url"),
        ({"public_url": "hub.test"}, "public_url"),
    ],
)
def test_a_hub_that_cannot_log_people_in_safely_does_not_start(world, more, named):
    settings = {"oidc_issuer": "https://id.test", "oidc_client_id": "plaza"} | more
    with pytest.raises(InvalidInput) as refused:
        logins_of(
            Settings(**settings),
            world.parts.tenancy,
            key=b"k",
            clock=world.clock,
            random=lambda n: b"x" * n,
        )
    assert refused.value.input == named
    assert "s3cret" not in repr(Settings(oidc_client_secret="s3cret"))
    assert urlsplit(Settings(**settings | {"public_url": None}).public_address).port == 8080
