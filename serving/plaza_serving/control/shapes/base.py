"""What all bodies of the admin API are made of: taken strictly, answered frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from plaza_core.keys import holds_key
from plaza_core.table import RateLimit

T = TypeVar("T")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def example(**body: Any) -> ConfigDict:
    """For `model_config` of a body: what the description shows, and tests try."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class Taken(BaseModel):
    """A request body. It refuses unknown fields: a mistyped one must not pass silently.

    It refuses keys too, anywhere in it: what is taken here is written down.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _holds_no_key(cls, data: Any) -> Any:
        if any(map(holds_key, _texts(data))):
            raise ValueError("a key belongs in the Authorization header and nowhere else")
        return data


def _texts(data: Any) -> Iterator[str]:
    """Every text in a parsed body, names of fields included."""
    waiting = [data]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, Mapping):
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, list):
            waiting += found


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Items(Answer, Generic[T]):
    """A list, wrapped so that it can grow fields."""

    items: list[T]


class Rate(Taken):
    """Sustained requests per second and how many may arrive at once."""

    model_config = example(per_second=50, burst=100)

    per_second: float = Field(gt=0, le=1_000_000, allow_inf_nan=False)
    burst: int = Field(ge=1, le=10_000_000)

    def limit(self) -> RateLimit:
        return RateLimit(per_second=self.per_second, burst=self.burst)


LARGEST_VERSION = 2**31 - 1
"""What every database takes in a column of whole numbers."""

VersionNumber = Annotated[int, Path(ge=1, le=LARGEST_VERSION)]

Since = Annotated[
    AwareDatetime | None, Query(description="From this moment on; default: a day before `until`.")
]


Until = Annotated[AwareDatetime | None, Query(description="Up to this moment; default: now.")]


def span(since: datetime | None, until: datetime | None, now_us: int) -> tuple[int, int]:
    """The asked-for span as exact integers."""
    until_us = now_us if until is None else (until - _EPOCH) // timedelta(microseconds=1)
    if since is None:
        return until_us - 86_400_000_000, until_us
    return (since - _EPOCH) // timedelta(microseconds=1), until_us
