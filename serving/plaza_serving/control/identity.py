"""Whether an identity token is genuine, fresh, and for this hub and this login.

Signatures are checked by joserfc; what the claims must say is OpenID Connect Core 1.0 §3.1.3.7.
joserfc is imported where it is first needed: nobody logs in while control starts.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from plaza_core.errors import Unauthenticated, Unavailable

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
              "ES256", "ES384", "ES512", "EdDSA", "Ed25519")  # fmt: skip
"""Signatures of public keys only: a shared secret, or none, proves nothing about the issuer."""

_LEEWAY_S = 60


class UnknownSigner(Unauthenticated):
    """The token names a key that is not in the set; a newer set may have it."""


def key_set(document: Mapping[str, Any]) -> KeySet:
    """The keys that a provider publishes. Raises Unavailable when they cannot be read."""
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    try:
        return KeySet.import_key_set(document)  # type: ignore[arg-type]  # checked by itself
    except (JoseError, ValueError, KeyError, TypeError):
        raise Unavailable("the provider's keys cannot be read") from None


def claims_of(token: str, keys: KeySet) -> dict[str, Any]:
    """The claims of a token whose signature is good. Raises UnknownSigner, Unauthenticated."""
    from joserfc import jwt
    from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError

    refusal = "the identity is not signed by the provider"
    try:
        return jwt.decode(token, keys, algorithms=ALGORITHMS).claims
    except (InvalidKeyIdError, BadSignatureError):
        raise UnknownSigner(refusal) from None
    except (JoseError, ValueError, TypeError):
        raise Unauthenticated(refusal) from None


def check_claims(
    claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now_s: int
) -> None:
    """Whose, for whom, when, and for which login. Raises Unauthenticated."""
    from joserfc.errors import JoseError
    from joserfc.jwt import JWTClaimsRegistry

    registry = JWTClaimsRegistry(
        now=now_s,
        leeway=_LEEWAY_S,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
    )
    try:
        registry.validate(dict(claims))
    except JoseError:
        raise Unauthenticated("the identity is not for this hub, or not for now") from None
    audience, party = claims["aud"], claims.get("azp")
    several = isinstance(audience, list) and len(audience) > 1
    if (party is not None or several) and party != client_id:
        raise Unauthenticated("the identity is for somebody else")
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
        raise Unauthenticated("the identity names nobody")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise Unauthenticated("the identity belongs to another login")
