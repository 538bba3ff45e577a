"""The error tree. Owns every stable code; knows no transport and no status number.

    request bytes ──parse──▶ request ──authorise──▶ principal ──resolve──▶ version
       MalformedRequest        Unauthenticated         NotFound (also for other people's objects)
       PayloadTooLarge         Forbidden
       InvalidInput
    ──admit──▶ lease ──queue──▶ batch ──run──▶ outputs ──settle──▶ answer
       RateLimited     Overloaded   DeadlineExceeded    Unavailable
       ConcurrencyExceeded          ModelFailed
       QuotaExceeded

Doors translate a class to a status; clients rely on `code` alone. Messages never carry a path, a
traceback or text of a native library. An exception outside this tree becomes `internal` at the door
and a log line with the request id.
"""

from __future__ import annotations

from typing import ClassVar


class PlazaError(Exception):
    """Base of all errors that a caller may see.

    `input` names the offending input (a field, tensor or header); `retry_after` is in seconds.
    """

    code: ClassVar[str] = "internal"

    def __init__(
        self, message: str, *, input: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.input = input
        self.retry_after = retry_after


class BadRequest(PlazaError):
    """The request as sent can never succeed."""

    code = "bad_request"


class MalformedRequest(BadRequest):
    """Bytes that do not parse: JSON syntax or depth, NaN, a truncated binary tail."""

    code = "malformed_request"


class InvalidTensor(BadRequest):
    """A tensor whose name, shape, datatype or byte count does not fit the signature."""

    code = "invalid_tensor"


class PayloadTooLarge(BadRequest):
    """More bytes than the limit, counted while reading."""

    code = "payload_too_large"


class UnsupportedMedia(BadRequest):
    """A body of a kind this endpoint does not take."""

    code = "unsupported_media"


class InvalidInput(BadRequest):
    """Well-formed, but its meaning is refused: no picture, too many pixels, a wrong field."""

    code = "invalid_input"


class InvalidBundle(InvalidInput):
    """A bundle or model file that fails its checks."""

    code = "invalid_bundle"


class Unauthenticated(PlazaError):
    """No key, or one that is unknown, revoked, expired or mistyped."""

    code = "unauthenticated"


class Forbidden(PlazaError):
    """The key is valid; its role does not include this verb."""

    code = "forbidden"


class NotFound(PlazaError):
    """Does not exist, or belongs to somebody else: the two are indistinguishable on purpose."""

    code = "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class PoolNotFound(NotFound):
    code = "pool_not_found"


class RouteNotFound(NotFound):
    code = "route_not_found"


class MethodNotAllowed(PlazaError):
    code = "method_not_allowed"


class Conflict(PlazaError):
    """Already exists, or changed meanwhile."""

    code = "conflict"


class DoesNotFit(Conflict):
    """The version takes more memory than a replica of the pool may use for models."""

    code = "does_not_fit"


class BreakingChange(Conflict):
    """Requests that an alias answers now would fail with the other version; the message lists why.
    Said so on purpose, it is done all the same."""

    code = "breaking_change"


class IdempotencyMismatch(InvalidInput):
    """This Idempotency-Key came with another request before."""

    code = "idempotency_mismatch"


class IdempotencyInProgress(Conflict):
    """The first request with this Idempotency-Key has not been answered yet."""

    code = "idempotency_in_progress"


class IdempotencyNotKept(Conflict):
    """The request was done, but its answer was too large to be kept and cannot be replayed."""

    code = "idempotency_not_kept"


class TargetRefused(InvalidInput):
    """An address outside that no operator allowed, or that leads into the hub's own network."""

    code = "target_refused"


class RateLimited(PlazaError):
    """Too many requests for a key, project or organisation; try again after `retry_after`."""

    code = "rate_limited"


class ConcurrencyExceeded(RateLimited):
    """As many requests of a key, project or organisation are inside at once as it may have."""

    code = "concurrency_exceeded"


class QuotaExceeded(PlazaError):
    """A budget, count or size limit is used up."""

    code = "quota_exceeded"


class Overloaded(PlazaError):
    """The queue of this replica or the caller's part of it is full, or the deadline is too near."""

    code = "overloaded"


class ForwardingBusy(Overloaded):
    """As many requests as may be are on their way from this replica to other pools."""

    code = "forwarding_busy"


class Unavailable(PlazaError):
    """Something the request needs is not there now: a store, a model still loading, the ledger."""

    code = "unavailable"


class LedgerUnavailable(Unavailable):
    """Usage cannot be recorded, so nothing may be served."""

    code = "ledger_unavailable"


class ModelLoading(Unavailable):
    """The version exists and is being loaded on this replica."""

    code = "model_loading"


class PoolLost(PlazaError):
    """The pool that serves this did not answer to the end; what it did is not known here, so it is
    not said to be safe to try again."""

    code = "pool_lost"


class DeadlineExceeded(PlazaError):
    """The request's deadline passed before its answer was ready."""

    code = "deadline_exceeded"


class ModelFailed(PlazaError):
    """The model's runtime failed on this input; details stay in the log."""

    code = "model_failed"


class DamagedIndex(PlazaError):
    """What is stored of a search index is not what was written: it answers nothing until it is
    restored, or dropped and filled again."""

    code = "damaged_index"


class ProviderUnavailable(Unavailable):
    """An accelerator provider that is not usable here; the message says why."""

    code = "provider_unavailable"


class PoolUnavailable(Unavailable):
    """The pool that serves this has no replica ready; nothing was begun there."""

    code = "pool_unavailable"


class SandboxUnavailable(Unavailable):
    """This machine cannot confine a model that nobody knows, so it is not opened here."""

    code = "sandbox_unavailable"


class NotCertified(Unavailable):
    """The version has no passed certificate for this pool's provider and environment."""

    code = "not_certified"


class CellDied(Unavailable):
    """The process that ran this version ended under the request; the next request gets another."""

    code = "cell_died"


class Quarantined(Unavailable):
    """The version crashed repeatedly and is tried again after `retry_after`."""

    code = "quarantined"
