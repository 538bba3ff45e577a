"""API keys: their text form, checksum and MAC. Shared by who issues them and who checks them.

    plz_<key id, 17 base62>_<secret, 43 base62 = 256 bits>_<CRC32 of all before, 6 base62>

The checksum tells a mistyped key (and lets secret scanners find leaked ones) before any lookup.
Only HMAC-SHA256(pepper, secret) is stored; the pepper is a file of the node with no other use.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from plaza_core.errors import Unauthenticated
from plaza_core.ids import KeyId, RandomBytes, base62

_FORM = re.compile(r"plz_([0-9A-Za-z]{17})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})")
_TRACE = re.compile(r"pl[sz]_[0-9A-Za-z]{17}_[0-9A-Za-z_]+")
"""A key or a session, or a piece of one that shows some of its secret."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `text` is shown once and kept nowhere."""

    id: KeyId
    text: str
    mac: str


def _checksum(body: str) -> str:
    return base62(zlib.crc32(body.encode()), 6)


def issue(pepper: bytes, random: RandomBytes) -> NewKey:
    """A fresh key with 96 bits of identity and 256 bits of secret."""
    identity = base62(int.from_bytes(random(12), "big"), 17)
    secret = base62(int.from_bytes(random(32), "big"), 43)
    body = f"plz_{identity}_{secret}"
    return NewKey(KeyId(identity), f"{body}_{_checksum(body)}", mac(pepper, secret))


def parse(text: str) -> tuple[KeyId, str]:
    """(key id, secret) of a well-formed key. Raises Unauthenticated, without any lookup."""
    match = _FORM.fullmatch(text)
    if match is None or _checksum(text[:-7]) != match[3]:
        raise Unauthenticated("this is not a key of this hub", input="authorization")
    return KeyId(match[1]), match[2]


def holds_key(text: str) -> bool:
    """Whether a key, or a part of one with some of its secret, stands in `text`."""
    return _TRACE.search(text) is not None


def without_keys(text: str) -> str:
    """`text` with every key in it cut out, for what is written down or sent back."""
    return _TRACE.sub("plz_…", text)


def mac(pepper: bytes, secret: str) -> str:
    return hmac.new(pepper, secret.encode(), hashlib.sha256).hexdigest()


def matches(pepper: bytes, secret: str, stored: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(mac(pepper, secret), stored)


def node_secret(directory: Path, name: str, random: RandomBytes) -> str:
    """The secret `name` of this node (hexadecimal, 256 bits), made on first use with mode 0600.

    Names in use: `pepper` (key MACs), `node.token` (replica to control), `ray.token`, `login`
    (cookies of logins under way), `vault` (seals secrets that the hub must use again).
    """
    path = directory / name
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_suffix(f".{random(4).hex()}")
        fresh.touch(mode=0o600)
        fresh.write_text(random(32).hex())
        try:
            path.hardlink_to(fresh)  # atomic: of two processes the first one wins
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()
