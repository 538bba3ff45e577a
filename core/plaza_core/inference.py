"""One inference, transport-free: what the doors hand to the data plane and get back.

These are made for every request. As frozen dataclasses they cost 8 µs of it, as structures of
msgspec, which are as frozen, 1.5; and its reader checks a usage line in less time than ours took
to look at two of its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from plaza_core.ids import Digest, ModelId, RequestId
from plaza_core.tensors import Array

DEFAULT_PRIORITY = 5
LOWEST_PRIORITY = 9


class Call(msgspec.Struct, frozen=True, gc=False):
    """A request to one model.

    Exactly one of `tensors` (Open Inference Protocol) and `task` (a payload for the model's
    family) is given. `deadline_ns` is on the monotonic clock; None takes the model's ceiling.
    """

    request_id: RequestId
    model: str
    version: str | None
    tensors: Mapping[str, Array] | None = None
    task: Any = None
    family: str | None = None
    """The family the endpoint serves; another family's model is refused."""
    deadline_ns: int | None = None
    age_ns: int = 0
    """How long it had been in the hub before it came to this replica: deadlines count from then.
    """
    priority: int = DEFAULT_PRIORITY
    """Among the waiting requests of its own key: 1 goes first, LOWEST_PRIORITY last."""
    sticky: str | None = None
    """Callers with the same word meet the same version of a split alias; None: each for itself."""


class Timing(msgspec.Struct, frozen=True, gc=False):
    """Where the time of one request went, in microseconds. Sums of phases, not wall time."""

    queue_us: int = 0
    prepare_us: int = 0
    run_us: int = 0
    interpret_us: int = 0


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What the model answered: `tensors` for a raw call, `answer` for a task."""

    model: str
    version: int
    digest: Digest
    timing: Timing
    compute_us: int
    batch_rows: int
    charge: int = 0
    """Compute units billed for this request."""
    host_us: int = 0
    budget_remaining: int | None = None
    """Compute units the key may still spend; None: no budget, or not known without asking."""
    tensors: Mapping[str, Array] = msgspec.field(default_factory=dict)
    answer: Any = None


class UsageRecord(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One admitted request, as the ledger keeps it. Integers only.

    Over a batch the sum of `charge` and `overrun` is exactly what the batch cost. Identity is
    (organisation, request_id): shipping the same record twice changes nothing.
    """

    organisation: str
    project: str | None
    key: str
    request_id: RequestId
    model: ModelId
    version: int
    digest: Digest
    provider: str
    rows: int
    compute_us: int
    """Share of the batch's device time, µs × the provider's weight."""
    host_us: int
    latency_us: int
    outcome: str
    """`ok`, `shadow` (computed to compare, never answered, charge 0), or the error code of a
    request that was admitted and then failed."""
    at_unix_us: int
    """The moment of admission; it decides the period."""
    replica: str
    charge: int = 0
    """Compute units billed: at most what was reserved."""
    overrun: int = 0
    """Compute units used beyond the reserve; the platform bears them."""
    lease: str | None = None
    """The lease that was spent from; None where no budget limits the branch."""
