"""Login by any standard OpenID provider: authorization code with PKCE, state and nonce.

    address() ──▶ browser ──▶ provider ──▶ callback with a code ──▶ redeem() ──▶ Claimed

Only the configured issuer, and the endpoints that its own discovery document names, are contacted;
nothing of a request is ever taken for an address. The provider's signing keys are read anew when
a token is signed by one that is not among them.
Source: OpenID Connect Core 1.0 §3.1, Discovery 1.0 §4, RFC 7636, RFC 9700.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import httpx

from plaza_core.clock import Clock
from plaza_core.errors import Unauthenticated, Unavailable
from plaza_serving.control.identity import UnknownSigner, check_claims, claims_of, key_set

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

_SCOPE = "openid email"
_KEEP_US = 3_600_000_000
_ANSWER_BYTES = 1 << 20
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the provider vouches for. `email` is None unless the provider has verified it."""

    issuer: str
    subject: str
    email: str | None


@dataclass(frozen=True, slots=True)
class Provider:
    """What the discovery document says, and the keys that its tokens are signed with."""

    authorization: str
    token: str
    jwks: str
    userinfo: str | None
    by_header: bool
    """Whether the client's secret goes into the Authorization header rather than the body."""
    read_at_us: int


class OpenIdClient:
    """One client of one issuer. `http` is given by tests; it never follows redirects."""

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: str | None,
        redirect_uri: str,
        clock: Clock,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._secret = client_secret
        self._redirect_uri = redirect_uri
        self._clock = clock
        # Logins are rare: no connection is kept open, so that nothing waits to be closed.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = http or httpx.AsyncClient(timeout=10, trust_env=False, limits=limits)
        self._provider: Provider | None = None
        self._keys: KeySet | None = None
        _demand_safe(issuer, issuer)

    async def address(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where to send the browser. Raises Unavailable when the provider does not answer."""
        provider = await self._discovered()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "scope": _SCOPE,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if urlsplit(provider.authorization).query else "?"
        return f"{provider.authorization}{joint}{urlencode(query)}"

    async def redeem(self, code: str, *, nonce: str, verifier: str) -> Claimed:
        """Who the code stands for. Raises Unauthenticated for anything but a genuine fresh token
        for this client and this login, Unavailable when the provider does not answer."""
        provider = await self._discovered()
        answer = await self._exchange(provider, code, verifier)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Unauthenticated("the provider sent no identity", input="code")
        claims = await self._verified(provider, token, nonce)
        if "email" not in claims and provider.userinfo and answer.get("access_token"):
            claims |= await self._userinfo(provider.userinfo, claims, str(answer["access_token"]))
        email = claims.get("email")
        # Some providers send the word for the value.
        said = claims.get("email_verified")
        verified = said is True or said == "true"
        return Claimed(
            self.issuer, claims["sub"], email if verified and isinstance(email, str) else None
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def _discovered(self) -> Provider:
        now = self._clock.unix_us()
        if self._provider is None or now - self._provider.read_at_us > _KEEP_US:
            found = await self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            self._provider = _provider(found, self.issuer, now)
        return self._provider

    async def _exchange(self, provider: Provider, code: str, verifier: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"accept": "application/json"}
        if self._secret and provider.by_header:
            pair = f"{quote(self._client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self._client_id
            if self._secret:
                form["client_secret"] = self._secret
        answer = await self._send("POST", provider.token, data=form, headers=headers)
        if 400 <= answer.status_code < 500:
            raise Unauthenticated("the provider does not know this code (any more)", input="code")
        return _json(answer)

    async def _verified(self, provider: Provider, token: str, nonce: str) -> dict[str, Any]:
        """Claims of a genuine token. The keys may have been changed since they were read."""
        fresh = self._keys is None
        try:
            claims = claims_of(token, self._keys or await self._read_keys(provider))
        except UnknownSigner:
            if fresh:
                raise
            claims = claims_of(token, await self._read_keys(provider))
        check_claims(
            claims,
            issuer=self.issuer,
            client_id=self._client_id,
            nonce=nonce,
            now_s=self._clock.unix_us() // 1_000_000,
        )
        return claims

    async def _read_keys(self, provider: Provider) -> KeySet:
        self._keys = key_set(await self._get(provider.jwks))
        return self._keys

    async def _userinfo(
        self, address: str, claims: Mapping[str, Any], token: str
    ) -> dict[str, Any]:
        found = await self._get(address, authorization=f"Bearer {token}")
        if found.get("sub") != claims["sub"]:
            raise Unauthenticated("the provider speaks of two people")
        return {name: found[name] for name in ("email", "email_verified") if name in found}

    async def _get(self, address: str, **headers: str) -> dict[str, Any]:
        headers["accept"] = "application/json"
        return _json(await self._send("GET", address, headers=headers))

    async def _send(self, method: str, address: str, **more: Any) -> httpx.Response:
        try:
            async with self._http.stream(method, address, **more) as answer:
                body = bytearray()
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > _ANSWER_BYTES:
                        raise Unavailable("the provider's answer is too long")
                return httpx.Response(answer.status_code, content=bytes(body))
        except httpx.HTTPError as error:
            raise Unavailable("the login provider cannot be reached", retry_after=5) from error


def challenge_of(verifier: str) -> str:
    """S256 of RFC 7636."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _provider(found: Mapping[str, Any], issuer: str, now: int) -> Provider:
    if found.get("issuer") != issuer:
        raise Unavailable("the provider calls itself otherwise than `oidc_issuer` does")
    methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    userinfo = found.get("userinfo_endpoint")
    return Provider(
        authorization=_demand_safe(found.get("authorization_endpoint"), issuer),
        token=_demand_safe(found.get("token_endpoint"), issuer),
        jwks=_demand_safe(found.get("jwks_uri"), issuer),
        userinfo=None if userinfo is None else _demand_safe(userinfo, issuer),
        by_header="client_secret_basic" in methods,
        read_at_us=now,
    )


def _demand_safe(address: Any, issuer: str) -> str:
    """`address` if it is https, or http on loopback beside an issuer on loopback."""
    if not isinstance(address, str):
        raise Unavailable("the provider's description lacks an address")
    parts, home = urlsplit(address), urlsplit(issuer)
    local = parts.scheme == "http" and {parts.hostname, home.hostname} <= _LOOPBACK
    if not (parts.scheme == "https" or local) or not parts.hostname or parts.fragment:
        raise Unavailable("a provider's address must be https")
    return address


def _json(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != httpx.codes.OK:
        raise Unavailable(f"the login provider answered {answer.status_code}", retry_after=5)
    try:
        found = json.loads(answer.content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unavailable("the login provider's answer cannot be read", retry_after=5)
    return found
