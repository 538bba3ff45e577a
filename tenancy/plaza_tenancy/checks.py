"""Checks of values that people type, beyond the syntax of names in `plaza_core.ids`."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from plaza_core.budget import Period, bounds
from plaza_core.errors import Forbidden, InvalidInput
from plaza_core.ids import OrganisationId
from plaza_core.keys import holds_key
from plaza_core.principal import TenantScope
from plaza_core.table import RateLimit

_LONGEST = 200
_MONTH = re.compile(r"([12][0-9]{3})-(0[1-9]|1[0-2])")
_EMAIL = re.compile(r"[^@\s<>\"(),:;\[\]\\]{1,64}@[^@\s<>\"(),:;\[\]\\]{1,189}")


def valid_text(text: str, *, input: str) -> str:
    """One line for people: at most 200 printable characters, and never a key.

    What is written down here stays, in the database and its backups.
    """
    if holds_key(text):
        raise InvalidInput("a key may not be written down here", input=input)
    if len(text) > _LONGEST or not text.isprintable():
        raise InvalidInput(f"at most {_LONGEST} printable characters", input=input)
    return text


def valid_rate(rate: RateLimit) -> RateLimit:
    if not (math.isfinite(rate.per_second) and rate.per_second > 0):
        raise InvalidInput("a rate is a number of requests per second above 0", input="per_second")
    if not 1 <= rate.burst < 2**31:
        raise InvalidInput("a burst is at least 1 request", input="burst")
    return rate


def month_bounds(month: str, *, input: str) -> tuple[int, int]:
    """(start, end) in µs since 1970 of a month in UTC such as `2026-11`."""
    found = _MONTH.fullmatch(month)
    if found is None or int(found[1]) < 1970:
        raise InvalidInput("a month is written as 2026-11", input=input)
    first = datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)
    return bounds(Period.MONTH, int(first.timestamp()) * 1_000_000)


def demand_platform(scope: TenantScope) -> None:
    """For verbs of those who run the hub: no organisation keeps its own books."""
    if scope.organisation is not None:
        raise Forbidden("only operators of the hub may do this")


def demand_whole(scope: TenantScope) -> OrganisationId | None:
    """For verbs about chains, which belong to an organisation as a whole. None: all of them."""
    if scope.project is not None:
        raise Forbidden("a key of one project may not do this")
    return scope.organisation


def valid_email(text: str) -> str:
    """An address as it is compared: in lower case, without spaces around.

    Only its form is checked; whose it is, the OpenID provider says.
    """
    email = text.strip().lower()
    if not (_EMAIL.fullmatch(email) and email.isprintable()) or holds_key(text):
        raise InvalidInput("this is no e-mail address", input="email")
    return email
