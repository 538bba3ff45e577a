"""Signatures after the Standard Webhooks specification, symmetric scheme `v1`.

    webhook-signature: v1,<base64 of HMAC-SHA256(secret, "id.timestamp.body")>

During a rotation the header holds two signatures, separated by a space. Source:
standard-webhooks/standard-webhooks, spec/standard-webhooks.md, "Signature scheme".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"


def signature(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(
    secrets: Iterable[str], message_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """The three headers of one attempt; `timestamp_s` is the attempt's own time."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signature(s, message_id, timestamp_s, body) for s in secrets),
    }
