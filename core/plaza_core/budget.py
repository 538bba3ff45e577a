"""Compute budgets: amounts, calendar periods, prices, and the prepaid leases that replicas spend.

    control: limit ─▶ account (per node and period) ──grant──▶ lease ─▶ replica: reserve ─▶ settle
                        settled + leased ≤ limit on every node          charge ≤ reserve

An amount is an integer number of compute units: microseconds × the weight of their provider. A
replica spends only what it was granted before, so no budget is ever overspent; what it does not
need goes back. Counters of a lease only grow (granted, returned, spent), so telling one twice, or
not hearing an answer, changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from plaza_core.ids import KeyId, ModelId, OrganisationId, ProjectId

_Frozen = ConfigDict(frozen=True)

FOREVER: Final = 2**62
"""The end, in µs since 1970, of a period that has none."""

LARGEST: Final = 2**53
"""The largest limit: any JSON reader keeps integers up to here."""


DAY_US: Final = 86_400_000_000
"""The shortest period; all others that end consist of such days."""


class Period(StrEnum):
    """Over what a budget counts. Calendar periods begin at midnight UTC; weeks on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


def bounds(period: Period, unix_us: int) -> tuple[int, int]:
    """(start, end) in µs since 1970 of the period that holds this moment: start ≤ moment < end."""
    if period is Period.TOTAL:
        return 0, FOREVER
    day = datetime.fromtimestamp(unix_us // 1_000_000, UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    if period is Period.DAY:
        start, end = day, day + timedelta(days=1)
    elif period is Period.WEEK:
        start = day - timedelta(days=day.weekday())
        end = start + timedelta(days=7)
    else:
        start = day.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    return int(start.timestamp()) * 1_000_000, int(end.timestamp()) * 1_000_000


class Price(BaseModel):
    """What work costs on one provider, for one model or (without one) for all of them.

    Measured: `weight` per µs of device time and `host_weight` per µs of host time. Fixed: `fixed`
    per row, whatever was measured; for proofs and for offers at a flat price.
    """

    model_config = _Frozen

    provider: str | None = None
    """None: every provider."""
    model: ModelId | None = None
    """None: every model."""
    weight: int = Field(default=1, ge=0)
    host_weight: int = Field(default=1, ge=0)
    fixed: int | None = Field(default=None, ge=0)

    def cost(self, *, device_us: int, host_us: int, rows: int) -> int:
        """Compute units of one request: its share of the device's time and its own host time."""
        if self.fixed is not None:
            return self.fixed * rows
        return device_us * self.weight + host_us * self.host_weight


class ShareEntry(BaseModel):
    """What one organisation is guaranteed of a pool, and how far it may borrow beyond it."""

    model_config = _Frozen

    organisation: OrganisationId
    weight: int = Field(default=1, ge=1, le=1000)
    borrow_percent: int | None = Field(default=None, ge=0)
    """How much of its own share it may borrow when others leave theirs idle; None: no limit."""


class LeaseAsk(BaseModel):
    """What a replica tells and asks about one key. All counters are cumulative per lease."""

    model_config = _Frozen

    key: KeyId
    lease: str | None = None
    """None: the replica holds none for this key (or a new period began)."""
    granted: int = 0
    """What the replica has heard of; control may have granted more in an answer that was lost."""
    returned: int = 0
    """What the replica has given back so far. Never spent, never to be spent."""
    need: int = 0
    """The least that would help now; 0 only tells."""
    wish: int = 0
    """What would last for a while; granted only while there is plenty."""


class LeaseAsks(BaseModel):
    """One batch of a replica: at most one entry per key and lease."""

    model_config = _Frozen

    replica: str
    asks: list[LeaseAsk]


class Grant(BaseModel):
    """The state of one lease after an ask. `lease` None: there is no budget for any."""

    model_config = _Frozen

    key: KeyId
    lease: str | None
    until_unix_us: int = FOREVER
    """The lease may be reserved from until here: the end of the earliest of its periods."""
    granted: int = 0
    """Cumulative."""
    short_of: str | None = None
    """Node id of the first account (from the root) that had less than `need`; None: satisfied."""
    resets_unix_us: int | None = None
    """When that account's period ends; None with `short_of` set: never."""
    remaining: int | None = None
    """What the tightest account has left, beside what is leased; None: not said."""


class Grants(BaseModel):
    model_config = _Frozen

    grants: list[Grant]


class Recall(BaseModel):
    """Control asks all replicas to give back what lies idle below some nodes."""

    model_config = _Frozen

    number: int
    """Grows; also over a restart of control."""
    nodes: list[str]


class Branch(BaseModel):
    """A key and its ancestors, root first: the accounts that one request touches."""

    model_config = _Frozen

    organisation: OrganisationId
    project: ProjectId | None
    key: KeyId
    line: KeyId | None = None
    """The first key of its rotations, whose budget it shares; None: it is that itself."""

    @property
    def leaf(self) -> KeyId:
        """The node that the key's own budget is set on."""
        return self.line or self.key

    def nodes(self) -> tuple[str, ...]:
        """Node ids from the root to the leaf."""
        return tuple(n for n in (self.organisation, self.project, self.leaf) if n is not None)
