"""An answer over HTTP: what doors make, what is kept for a repeated idempotency key."""

from __future__ import annotations

from typing import NamedTuple

Header = tuple[bytes, bytes]

JSON = b"application/json"
BODY = "plaza.body"
"""Where the scope of a request has its body, if all of it came with the headers."""
WHOLE = "plaza.whole"
"""Where the scope of a request has what sends a whole answer at once, if its server can: see
`rayapp.protocol`."""


class Reply(NamedTuple):
    """An answer ready to be sent; length and request id headers are added by the door."""

    status: int
    media: bytes
    body: bytes
    headers: tuple[Header, ...] = ()
