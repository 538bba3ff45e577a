"""Checks of values that people type, beyond the syntax of names in `plaza_core.ids`."""

from __future__ import annotations

import math
import re

from plaza_core.errors import InvalidInput
from plaza_core.keys import holds_key
from plaza_core.table import RateLimit

_LONGEST = 200
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


def valid_email(text: str) -> str:
    """An address as it is compared: in lower case, without spaces around.

    Only its form is checked; whose it is, the OpenID provider says.
    """
    email = text.strip().lower()
    if not (_EMAIL.fullmatch(email) and email.isprintable()) or holds_key(text):
        raise InvalidInput("this is no e-mail address", input="email")
    return email
