"""Secrets at rest: what the database keeps is unreadable without a key that it does not hold.

AES-256-GCM under keys derived with HKDF-SHA256 (RFC 5869). `about` binds a sealed value to its
place: moved to another row, it does not open.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from plaza_core.ids import RandomBytes

_NONCE = 12


class SealBrokenError(Exception):
    """Another key, another place, or changed bytes: which of them cannot be told."""


def derive(secret: bytes, *, purpose: str, salt: bytes = b"") -> bytes:
    """256 bits for one purpose from a secret of high entropy (never from a password)."""
    kdf = HKDF(algorithm=SHA256(), length=32, salt=salt, info=purpose.encode())
    return kdf.derive(secret)


class Sealer:
    """Seals and opens with one 256-bit key. Good for 2³² values: nonces are random."""

    def __init__(self, key: bytes, random: RandomBytes) -> None:
        self._cipher = AESGCM(key)
        self._random = random

    def seal(self, plain: bytes, about: str) -> bytes:
        nonce = self._random(_NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Raises SealBrokenError."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBrokenError("this does not open here") from error
