"""The mark on a forwarded request, which only replicas of this hub can make.

Forwarded requests and those from outside arrive through the same ingress, so where one comes from
proves nothing. The mark begins with a token that all replicas derive from the node's secret. What
has no valid mark has none: whatever a stranger writes there is ignored, and never passed on.

All that a mark can do is shorten deadlines and carry gRPC messages; it opens nothing. That there is
one hop at most does not rest on it, see `others`.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

HEADER = b"x-plaza-hop"
_PURPOSE = b"plaza: a request forwarded between pools"
_ENDLESS = -1


class Hop(NamedTuple):
    """What a replica is told with a forwarded request."""

    age_ns: int = 0
    """Since the hub has had it; deadlines count from then."""
    left_us: int | None = None
    """Of the deadline of a gRPC call, when it was passed on."""
    streamed: bool = False
    """A message of a gRPC stream: it is answered as one."""


class Seal:
    """`secret` is the node's token, the same on all nodes of a hub."""

    def __init__(self, secret: str) -> None:
        self._token = hmac.new(secret.encode(), _PURPOSE, hashlib.sha256).hexdigest().encode()

    def mark(self, hop: Hop) -> tuple[bytes, bytes]:
        """The header of a forwarded request."""
        left = _ENDLESS if hop.left_us is None else hop.left_us
        return HEADER, b"%b %d %d %d" % (self._token, max(0, hop.age_ns), left, hop.streamed)

    def read(self, value: bytes) -> Hop | None:
        """None for anything but a mark of this hub."""
        token, *rest = value.split(b" ")
        if not hmac.compare_digest(token, self._token):
            return None
        age_ns, left_us, streamed = (int(text) for text in rest)
        return Hop(age_ns, None if left_us < 0 else left_us, bool(streamed))
