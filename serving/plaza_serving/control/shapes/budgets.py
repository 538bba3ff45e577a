"""Bodies of the routes about budgets, prices and shares."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from plaza_core.budget import LARGEST, Period
from plaza_serving.control.patterns import NAME, PROVIDER
from plaza_serving.control.shapes.base import Answer, Taken, example

Amount = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
"""Compute units. Strict: `true` and `"5"` are no amounts."""


class BudgetTerms(Taken):
    """What may be spent per period, in compute units: µs × weight."""

    model_config = example(limit=3_600_000_000, period="month")

    # Required: a body about something else must not lift a limit by leaving it out.
    limit: Amount | None = Field(description="null: it counts and never refuses.")
    period: Period | None = Field(
        None,
        description="Calendar periods begin at midnight UTC, weeks on Monday. Left out: as it is; "
        "a month for a new budget.",
    )


class BudgetStep(Taken):
    """Raise (above 0) or lower (below 0) a limit by so many compute units."""

    model_config = example(by=600_000_000)

    by: int = Field(strict=True, ge=-LARGEST, le=LARGEST)


class ConcurrencyLimit(Taken):
    """Most requests inside at once, over all replicas."""

    model_config = example(limit=20)

    limit: int | None = Field(strict=True, ge=1, le=1_000_000, description="null: no limit.")


class ConcurrencyAnswer(Answer):
    limit: int | None


class KeyPriority(Taken):
    """Within its organisation, the key with the higher number goes first."""

    model_config = example(priority=5)

    priority: int = Field(ge=-10, le=10)


class PriorityAnswer(Answer):
    priority: int


class PriceTerms(Taken):
    """What work costs. Of several prices that fit, the most specific one counts."""

    model_config = example(provider="cuda", model="acme.main.cars", weight=20, host_weight=1)

    provider: str | None = Field(None, pattern=PROVIDER, description="Left out: every provider.")
    model: str | None = Field(None, max_length=200, description="Left out: every model.")
    weight: int = Field(1, ge=0, le=1_000_000_000, description="Units per µs of device time.")
    host_weight: int = Field(1, ge=0, le=1_000_000_000, description="Units per µs of host time.")
    fixed: int | None = Field(
        None, ge=0, le=1_000_000_000, description="Units per row instead, whatever it took."
    )


class ShareTerms(Taken):
    """What an organisation is guaranteed of every pool, relative to the others."""

    model_config = example(organisation="acme", weight=4, borrow_percent=200)

    organisation: str = Field(pattern=NAME)
    weight: int = Field(ge=1, le=1000)
    borrow_percent: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="How much of its share it may borrow while others are idle; left out: any.",
    )
