"""A provider that lies, one lie at a time, and a hub that believes none of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import parse_qsl, unquote

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from plaza_core.errors import Unauthenticated, Unavailable
from plaza_core.testing import FakeClock
from plaza_serving.control.oidc import OpenIdClient
from tests.serving.control.provider import query_of

ISSUER = "https://id.test/tenant"
CALLBACK = "https://hub.test/auth/callback"


class Liar:
    """An honest provider, but for what a test changes in it. Keeps what it was asked."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.published = KeySet([self.key])
        self.sign_with = self.key
        self.alg = "RS256"
        self.claims: dict = {}
        """Over the honest ones; None takes a claim away."""
        self.about: dict = {}
        """Over the discovery document."""
        self.told = {"sub": "ann", "email": "ann@acme.test", "email_verified": True}
        """What userinfo says."""
        self.token = None
        self.answers: dict[str, httpx.Response] = {}
        self.asked: list[httpx.Request] = []
        self.challenge = self.nonce = ""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.path.removeprefix("/tenant")
        if path in self.answers:
            return self.answers[path]
        return getattr(self, path.rpartition("/")[2].replace("-", "_"))(request)

    def openid_configuration(self, request):
        document = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize?flavour=web",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/jwks",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
        }
        return httpx.Response(200, json=document | self.about)

    def jwks(self, request):
        return httpx.Response(200, json=self.published.as_dict(private=False))

    def userinfo(self, request):
        assert request.headers["authorization"] == "Bearer access"
        return httpx.Response(200, json=self.told)

    def token_answer(self):
        now = self.clock.unix_us() // 1_000_000
        claims = {
            "iss": ISSUER, "aud": "plaza", "sub": "ann", "exp": now + 300, "iat": now,
            "nonce": self.nonce, "email": "ann@acme.test", "email_verified": True,
        }  # fmt: skip
        claims = {n: v for n, v in (claims | self.claims).items() if v is not None}
        header = {"alg": self.alg} | ({"kid": self.sign_with.kid} if self.sign_with.kid else {})
        signed = jwt.encode(header, claims, self.sign_with, algorithms=[self.alg])
        return {"id_token": signed, "access_token": "access", "token_type": "Bearer"}

    def __getattr__(self, name):
        raise AssertionError(f"the hub asked for {name}")


@pytest.fixture
def liar():
    found = Liar(FakeClock())

    def token(request):
        form = dict(parse_qsl(request.content.decode()))
        made = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(made).rstrip(b"=").decode() == found.challenge
        assert form["redirect_uri"] == CALLBACK
        return httpx.Response(200, json=found.token_answer())

    found.token = token
    return found


def client_of(liar, secret="s&cret", issuer=ISSUER):
    http = httpx.AsyncClient(transport=httpx.MockTransport(liar))
    return OpenIdClient(
        issuer=issuer,
        client_id="plaza",
        client_secret=secret,
        redirect_uri=CALLBACK,
        clock=liar.clock,
        http=http,
    )


async def log_in(liar, client=None):
    client = client or client_of(liar)
    asked = query_of(await client.address(state="s", nonce="n" * 43, verifier="v" * 43))
    assert asked["flavour"] == "web", "a query of the provider's own is kept"
    liar.challenge, liar.nonce = asked["code_challenge"], asked["nonce"]
    return await client.redeem("code", nonce="n" * 43, verifier="v" * 43)


async def test_an_honest_provider_is_believed_and_asked_by_basic_authentication(liar):
    found = await log_in(liar)
    assert (found.issuer, found.subject, found.email) == (ISSUER, "ann", "ann@acme.test")
    sent = next(r for r in liar.asked if r.url.path.endswith("/token"))
    scheme, _, pair = sent.headers["authorization"].partition(" ")
    name, _, secret = base64.b64decode(pair).decode().partition(":")
    assert (scheme, name, unquote(secret)) == ("Basic", "plaza", "s&cret")
    assert b"cret" not in sent.content


@pytest.mark.parametrize("secret", ["s&cret", None])
async def test_a_provider_may_want_the_secret_in_the_body_or_know_none(liar, secret):
    liar.about = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert (await log_in(liar, client_of(liar, secret))).subject == "ann"
    sent = next(r for r in liar.asked if r.url.path.endswith("/token"))
    form = dict(parse_qsl(sent.content.decode()))
    assert (form["client_id"], form.get("client_secret")) == ("plaza", secret)
    assert "authorization" not in sent.headers


LIES = {
    "another issuer": {"iss": "https://evil.test"},
    "no issuer": {"iss": None},
    "another client": {"aud": "other"},
    "other clients": {"aud": ["other", "another"]},
    "no client": {"aud": None},
    "among others, for one of them": {"aud": ["plaza", "other"], "azp": "other"},
    "among others, for nobody said": {"aud": ["plaza", "other"]},
    "ours, handed to another": {"azp": "other"},
    "expired": {"exp": FakeClock().unix_us() // 1_000_000 - 61},
    "no expiry": {"exp": None},
    "an expiry that is no number": {"exp": "tomorrow"},
    "from the future": {"iat": FakeClock().unix_us() // 1_000_000 + 61},
    "not yet": {"nbf": FakeClock().unix_us() // 1_000_000 + 61},
    "no time": {"iat": None},
    "another login": {"nonce": "m" * 43},
    "no login": {"nonce": None},
    "nobody": {"sub": None},
    "an empty name": {"sub": ""},
    "a name too long": {"sub": "x" * 256},
    "a name that is no text": {"sub": ["ann"]},
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_signed_lie_is_a_lie(liar, lie):
    liar.claims = LIES[lie]
    with pytest.raises(Unauthenticated):
        await log_in(liar)


async def test_clocks_may_differ_by_a_minute(liar):
    now = liar.clock.unix_us() // 1_000_000
    liar.claims = {"exp": now - 30, "iat": now + 30}
    assert (await log_in(liar)).subject == "ann"


def foreign(liar):
    liar.sign_with = RSAKey.generate_key(2048, {"kid": "one"})


def unpublished(liar):
    liar.sign_with = RSAKey.generate_key(2048, {"kid": "two"})


@pytest.mark.parametrize("forge", [foreign, unpublished])
async def test_a_signature_of_somebody_else_is_refused(liar, forge):
    forge(liar)
    with pytest.raises(Unauthenticated, match="not signed"):
        await log_in(liar)


async def test_the_public_key_is_no_shared_secret(liar):
    """Anybody can make this signature who has read the public key: a classic."""
    body = liar.token_answer()["id_token"].split(".")[1]
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=").decode()
    mac = hmac.digest(liar.key.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    liar.answers["/token"] = httpx.Response(200, json={"id_token": forged})
    with pytest.raises(Unauthenticated, match="not signed"):
        await log_in(liar)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", 7, None, "e30.e30."])
async def test_what_is_no_token_is_refused(liar, token):
    liar.answers["/token"] = httpx.Response(200, json={"id_token": token})
    with pytest.raises(Unauthenticated):
        await log_in(liar)


async def test_a_token_without_signature_is_refused(liar):
    def part(text):
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    claims = jwt.decode(liar.token_answer()["id_token"], liar.key).claims
    for head in ('{"alg":"none"}', '{"alg":"None","kid":"one"}', '{"kid":"one"}'):
        body = str(claims).replace("'", '"').replace("True", "true")
        bare = f"{part(head)}.{part(body)}."
        liar.answers["/token"] = httpx.Response(200, json={"id_token": bare})
        with pytest.raises(Unauthenticated):
            await log_in(liar)


@pytest.mark.parametrize(
    ("alg", "make"),
    [
        ("ES256", lambda: ECKey.generate_key("P-256", {"kid": "ec"})),
        ("PS256", lambda: RSAKey.generate_key(2048, {"kid": "ps"})),
        ("Ed25519", lambda: OKPKey.generate_key("Ed25519", {"kid": "ed"})),
    ],
)
async def test_keys_of_other_kinds_sign_too(liar, alg, make):
    liar.alg, liar.sign_with = alg, make()
    liar.published = KeySet([liar.key, liar.sign_with])
    assert (await log_in(liar)).subject == "ann"


async def test_the_providers_keys_may_change_at_any_time(liar):
    client = client_of(liar)
    await log_in(liar, client)
    await log_in(liar, client)
    reads = [r for r in liar.asked if r.url.path.endswith("/jwks")]
    assert len(reads) == 1, "they are read once"
    liar.sign_with = RSAKey.generate_key(2048, {"kid": "two"})
    liar.published = KeySet([liar.sign_with])
    assert (await log_in(liar, client)).subject == "ann"
    liar.sign_with = liar.key
    with pytest.raises(Unauthenticated):
        await log_in(liar, client)


async def test_a_key_without_a_name_may_change_too(liar):
    client = client_of(liar)
    for _ in range(2):
        liar.sign_with = RSAKey.generate_key(2048)
        liar.published = KeySet([liar.sign_with])
        assert (await log_in(liar, client)).subject == "ann"


async def test_an_address_may_be_told_by_userinfo_about_the_same_person_only(liar):
    liar.claims = {"email": None, "email_verified": None}
    assert (await log_in(liar)).email == "ann@acme.test"
    liar.told = {"sub": "eve", "email": "ann@acme.test", "email_verified": True}
    with pytest.raises(Unauthenticated, match="two people"):
        await log_in(liar)


@pytest.mark.parametrize("verified", [None, False, "false", 0, 1, "yes", [True]])
async def test_only_a_verified_address_counts(liar, verified):
    liar.claims = {"email_verified": verified}
    found = await log_in(liar)
    assert found.email is None
    liar.claims = {"email_verified": "true"}
    assert (await log_in(liar)).email == "ann@acme.test"


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://evil.test"},
        {"issuer": ISSUER + "/"},
        {"token_endpoint": "http://id.test/token"},
        {"jwks_uri": "http://127.0.0.1/jwks"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"userinfo_endpoint": "file:///etc/passwd"},
        {"token_endpoint": None},
        {"jwks_uri": "https:///jwks"},
    ],
)
async def test_a_provider_that_describes_itself_strangely_is_not_used(liar, about):
    liar.about = about
    with pytest.raises(Unavailable):
        await log_in(liar)


def test_an_issuer_is_https_or_on_loopback(liar):
    for bad in ("http://id.test", "ftp://id.test", "id.test", "http://127.0.0.1.evil.test"):
        with pytest.raises(Unavailable):
            client_of(liar, issuer=bad)
    for good in ("https://id.test", "http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"):
        client_of(liar, issuer=good)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/.well-known/openid-configuration", httpx.Response(404)),
        ("/.well-known/openid-configuration", httpx.Response(200, text="<html>")),
        ("/.well-known/openid-configuration", httpx.Response(200, json=[])),
        ("/.well-known/openid-configuration", httpx.Response(200, content=b" " * (1 << 21))),
        ("/token", httpx.Response(500)),
        ("/token", httpx.Response(302, headers={"location": "https://evil.test"})),
        ("/jwks", httpx.Response(200, json={"keys": []})),
        ("/jwks", httpx.Response(200, json={"keys": "all"})),
        ("/jwks", httpx.Response(503)),
    ],
)
async def test_a_provider_that_fails_is_unavailable(liar, path, answer):
    liar.answers[path] = answer
    with pytest.raises(Unavailable):
        await log_in(liar)
    assert {r.url.host for r in liar.asked} == {"id.test"}, "nobody else was asked"


async def test_a_refused_code_is_the_callers_fault(liar):
    liar.answers["/token"] = httpx.Response(400, json={"error": "invalid_grant"})
    with pytest.raises(Unauthenticated, match="code"):
        await log_in(liar)


async def test_a_provider_that_cannot_be_reached(liar):
    def away(request):
        raise httpx.ConnectError("no route")

    client = OpenIdClient(
        issuer=ISSUER, client_id="plaza", client_secret=None, redirect_uri=CALLBACK,
        clock=liar.clock, http=httpx.AsyncClient(transport=httpx.MockTransport(away)),
    )  # fmt: skip
    with pytest.raises(Unavailable):
        await client.address(state="s", nonce="n", verifier="v")
    await client.close()


async def test_a_description_is_read_anew_after_an_hour(liar):
    client = client_of(liar)
    await log_in(liar, client)
    liar.clock.advance(3601)
    await log_in(liar, client)
    reads = [r for r in liar.asked if r.url.path.endswith("/openid-configuration")]
    assert len(reads) == 2
