"""Requests that happen once: what a caller's Idempotency-Key is answered with, and by whom.

    claim ─▶ YOURS: do it, then complete (or release, when nothing was done)
             RUNNING: somebody does it now      KEPT: here is the first answer, sealed
             OTHER: this key was used for another request

A claim lasts a minute and is renewed while its holder works; after a crash it lapses and the next
attempt takes it over, with the request id of the first: the ledger counts one id once. Answers are
sealed by who made them, so that their keeper cannot read them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict

from plaza_core.ids import KeyId, OrganisationId, RequestId

HEADER: Final = "idempotency-key"
REPLAYED: Final = "idempotency-replayed"
LONGEST_NAME: Final = 255
CLAIM_S: Final = 60
RENEW_S: Final = 20
KEPT_S: Final = 86_400
MOST_BYTES: Final = 256 << 10
"""The largest body that is kept."""

_WIRE = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")


class Place(BaseModel):
    """One use of a name by one API key; `token` tells this attempt from every other."""

    model_config = _WIRE

    organisation: OrganisationId
    key: KeyId
    name: str
    token: str


class ClaimAsk(Place):
    """`request_id` is that of this attempt; `fingerprint` stands for what was asked."""

    fingerprint: str
    request_id: RequestId


class Done(Place):
    """How it ended. `answer` None: too large to be kept."""

    status: int
    answer: bytes | None


class State(StrEnum):
    YOURS = "yours"
    RUNNING = "running"
    KEPT = "kept"
    OTHER = "other"


class Verdict(BaseModel):
    """`request_id` and `token` are those of the attempt that counts: the first, or the holder's."""

    model_config = _WIRE

    state: State
    request_id: RequestId
    token: str
    retry_after_s: float | None = None
    status: int | None = None
    answer: bytes | None = None


class Claims(Protocol):
    """Where claims and answers are kept. Each call may be repeated; all raise Unavailable."""

    async def claim(self, ask: ClaimAsk) -> Verdict: ...
    async def renew(self, place: Place) -> None: ...
    async def complete(self, done: Done) -> None:
        """Keep the answer for a day. Of a claim that was lost meanwhile: nothing."""

    async def release(self, place: Place) -> None:
        """Nothing was done: the name is free again."""
