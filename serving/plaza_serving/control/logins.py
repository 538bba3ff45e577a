"""A login from its first redirect to its session cookie: what the routes of `/auth` work with.

    begin ──▶ sealed cookie + provider's address …… callback ──▶ finish ──▶ session

Nothing is stored before the provider has vouched for somebody. What must outlive the redirect is
in a sealed cookie of that browser: state, nonce and PKCE verifier are derived from its random id,
so that a callback counts only in the browser that began it, and the verifier never leaves control.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from plaza_core.clock import Clock
from plaza_core.errors import Forbidden, InvalidInput, Unauthenticated
from plaza_core.ids import RandomBytes
from plaza_core.settings import Settings
from plaza_serving.control.oidc import OpenIdClient, challenge_of
from plaza_tenancy import Tenancy
from plaza_tenancy.views import NewSession, Person

CALLBACK = "/auth/callback"
LOGIN_WITHIN_S = 600
"""How long somebody may take to log in at the provider."""
GRANT_WITHIN_S = 60
"""How long a command line may take to fetch its session."""
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Begun:
    """`address` is the provider's; `sealed` goes into the browser's cookie."""

    address: str
    sealed: str


@dataclass(frozen=True, slots=True)
class Finished:
    session: NewSession
    then: str
    """The path of this hub to go on at."""


class Logins:
    def __init__(
        self,
        client: OpenIdClient,
        tenancy: Tenancy,
        *,
        key: bytes,
        clock: Clock,
        random: RandomBytes,
        secure: bool,
        lifetime_s: int,
    ) -> None:
        self._client = client
        self._tenancy = tenancy
        self._key = key
        self._clock = clock
        self._random = random
        self._lifetime_us = lifetime_s * 1_000_000
        self.secure = secure
        """Whether browsers reach the hub over https; only loopback may do without."""
        host = "__Host-" if secure else ""
        self.session_cookie = f"{host}plaza-session"
        self.login_cookie = f"{host}plaza-login"

    async def begin(self, then: str) -> Begun:
        """Raises InvalidInput for a `then` that is no path of this hub, Unavailable."""
        seal = {
            "id": self._random(32).hex(),
            "then": own_path(then),
            "ends": self._now() + LOGIN_WITHIN_S,
        }
        address = await self._client.address(
            state=self._derived("state", seal["id"]),
            nonce=self._derived("nonce", seal["id"]),
            verifier=self._derived("verifier", seal["id"]),
        )
        return Begun(address, self._sealed("login", seal))

    async def redeem(self, sealed: str | None, state: str, code: str) -> tuple[Person, bool, str]:
        """(person, whether their e-mail is verified, where to go on) of a callback.

        Raises Unauthenticated unless this browser began this login within the last ten minutes
        and the provider vouches for somebody; Unavailable.
        """
        seal = self._opened("login", sealed or "")
        if not hmac.compare_digest(self._derived("state", seal["id"]).encode(), state.encode()):
            raise Unauthenticated("this login was begun elsewhere; try again", input="state")
        found = await self._client.redeem(
            code,
            nonce=self._derived("nonce", seal["id"]),
            verifier=self._derived("verifier", seal["id"]),
        )
        person = Person(found.issuer, found.subject, found.email or "")
        return person, found.email is not None, seal["then"]

    def open_session(self, person: Person, *, verified: bool, then: str) -> Finished:
        """A session of somebody who is a member of something here. Blocks.

        Raises Forbidden for everybody else: whom a provider knows has no rights by that.
        """
        if verified:
            self._tenancy.members.bind(person)
        if not self._tenancy.sessions.known(person):
            raise Forbidden("nobody has invited you to an organisation of this hub")
        return Finished(self._tenancy.sessions.open(person, lifetime_us=self._lifetime_us), then)

    def granted(self, person: Person, challenge: str) -> str:
        """A code by which a command line gets a session, if it knows the verifier."""
        ends = self._now() + GRANT_WITHIN_S
        return self._sealed("grant", {**asdict(person), "challenge": challenge, "ends": ends})

    def redeem_granted(self, code: str, verifier: str) -> NewSession:
        """Raises Unauthenticated, and Forbidden for somebody removed meanwhile. Blocks."""
        seal = self._opened("grant", code)
        if not hmac.compare_digest(challenge_of(verifier).encode(), seal["challenge"].encode()):
            raise Unauthenticated("this login was begun elsewhere; try again", input="verifier")
        person = Person(seal["issuer"], seal["subject"], seal["email"])
        return self.open_session(person, verified=False, then="/").session

    async def close(self) -> None:
        await self._client.close()

    def _now(self) -> int:
        return self._clock.unix_us() // 1_000_000

    def _sealed(self, use: str, seal: Mapping[str, object]) -> str:
        body = base64.urlsafe_b64encode(json.dumps(seal).encode()).decode()
        return f"{body}.{self._derived(f'seal of a {use}', body)}"

    def _opened(self, use: str, sealed: str) -> dict[str, str]:
        field = "cookie" if use == "login" else "code"
        body, _, mac = sealed.partition(".")
        if not hmac.compare_digest(self._derived(f"seal of a {use}", body).encode(), mac.encode()):
            raise Unauthenticated("no such login was begun; try again", input=field)
        seal: dict[str, str] = json.loads(base64.urlsafe_b64decode(body))
        if int(seal["ends"]) <= self._now():
            raise Unauthenticated("this login took too long; try again", input=field)
        return seal

    def _derived(self, use: str, text: object) -> str:
        mac = hmac.new(self._key, f"{use}:{text}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(mac.digest()).rstrip(b"=").decode()


def own_path(path: str) -> str:
    """`path` if a browser takes it for one of this hub, whatever its quirks.

    Raises InvalidInput: `//host`, `\\host` and control characters lead elsewhere in some of them.
    """
    parts = urlsplit(path) if path.isprintable() and path.isascii() else None
    strange = "\\" in path or " " in path or path.startswith("//")
    if parts is None or parts.scheme or parts.netloc or strange or not path.startswith("/"):
        raise InvalidInput("a login ends at a path of this hub only", input="next")
    return path


def logins_of(
    settings: Settings, tenancy: Tenancy, *, key: bytes, clock: Clock, random: RandomBytes
) -> Logins | None:
    """As the settings want it; None where no provider is configured.

    Raises InvalidInput when a setting is missing or people would come without encryption.
    """
    if settings.oidc_issuer is None:
        return None
    if settings.oidc_client_id is None:
        raise InvalidInput("login needs PLAZA_OIDC_CLIENT_ID too", input="oidc_client_id")
    public = urlsplit(settings.public_address)
    if public.scheme != "https" and not (public.scheme == "http" and public.hostname in _LOOPBACK):
        raise InvalidInput("PLAZA_PUBLIC_URL must be https, for login", input="public_url")
    client = OpenIdClient(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        redirect_uri=settings.public_address.rstrip("/") + CALLBACK,
        clock=clock,
    )
    return Logins(
        client,
        tenancy,
        key=key,
        clock=clock,
        random=random,
        secure=public.scheme == "https",
        lifetime_s=settings.session_hours * 3600,
    )
