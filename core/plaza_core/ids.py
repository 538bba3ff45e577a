"""Names and identifiers. Owns their syntax; every other room treats them as opaque.

Random identifiers take their bytes from an injected source, so that tests are repeatable.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NewType

from plaza_core.errors import InvalidInput

OrganisationId = NewType("OrganisationId", str)
ProjectId = NewType("ProjectId", str)
KeyId = NewType("KeyId", str)
ModelId = NewType("ModelId", str)
ReplicaId = NewType("ReplicaId", str)
RequestId = NewType("RequestId", str)
Digest = NewType("Digest", str)
"""Lower-case hexadecimal sha256, 64 characters."""

VersionKey = tuple[ModelId, int]
"""One version of a model."""

RandomBytes = Callable[[int], bytes]

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_RESERVED_ALIAS = re.compile(r"v?[0-9]+|latest")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_48_BITS = (1 << 48) - 1
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""Of a UUID: the first two bits of this digit are 10."""
_AHEAD = 400
"""For how many request ids random bytes are kept."""
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def valid_name(name: str, *, input: str = "name") -> str:
    """Return `name` if it is one segment of a wire name, else raise InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "a name has 1 to 63 characters of a-z, 0-9 and '-', no '-' at either end", input=input
        )
    return name


def valid_alias(alias: str) -> str:
    """A name that cannot be taken for a version, here or in MLflow (`3`, `v3`, `latest`)."""
    valid_name(alias, input="alias")
    if _RESERVED_ALIAS.fullmatch(alias):
        raise InvalidInput("this word is reserved; choose another alias", input="alias")
    return alias


def valid_digest(text: str, *, input: str = "digest") -> Digest:
    if not _DIGEST.fullmatch(text):
        raise InvalidInput("a digest is 64 lower-case hexadecimal characters", input=input)
    return Digest(text)


def kind_of_node(node: str) -> str:
    """`organisation`, `project` or `key`, by the form of a node's id; for messages."""
    return {"org": "organisation", "prj": "project"}.get(node.partition("_")[0], "key")


def base62(number: int, width: int) -> str:
    """`number` in base 62, left-padded with zeros to `width`."""
    digits: list[str] = []
    while number:
        number, rest = divmod(number, 62)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits)).rjust(width, "0")


def new_id(prefix: str, random: RandomBytes) -> str:
    """An unguessable identifier such as `org_5Zt…`: 96 random bits in base 62."""
    return f"{prefix}_{base62(int.from_bytes(random(12), 'big'), 17)}"


def new_request_id(unix_ms: int, random: RandomBytes) -> RequestId:
    """A UUIDv7 (RFC 9562 §5.7): sorts by time, unique without coordination."""
    return _uuid(_time_part(unix_ms), random(10).hex())


class RequestIds:
    """The same for whoever makes thousands a second. Random bytes are asked for 4 kB at a time: a
    system call for each costs 1 µs, and 10 when it hands the interpreter to another thread
    (measured beside a worker thread). Not for secrets: bytes wait in memory."""

    def __init__(self, random: RandomBytes) -> None:
        self._random = random
        self._digits, self._at = "", 0
        self._ms, self._time = -1, ""

    def new(self, unix_ms: int) -> RequestId:
        if unix_ms != self._ms:
            self._ms, self._time = unix_ms, _time_part(unix_ms)
        at = self._at
        if at == len(self._digits):
            self._digits, at = self._random(_AHEAD * 10).hex(), 0
        self._at = at + 20
        return _uuid(self._time, self._digits[at : at + 20])


def _time_part(unix_ms: int) -> str:
    time = f"{unix_ms & _48_BITS:012x}"
    return f"{time[:8]}-{time[8:]}-7"


def _uuid(time: str, random: str) -> RequestId:
    variant = _VARIANT[random[4]]
    return RequestId(f"{time}{random[1:4]}-{variant}{random[5:8]}-{random[8:]}")
