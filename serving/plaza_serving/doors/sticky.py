"""The sticky word of a request: who comes with the same word meets the same version of an alias.

From the header `x-plaza-sticky`, else from the parameter or field `sticky`; without one each
request is for itself. Any word will do that means one caller or session; it is hashed, never kept.
"""

from __future__ import annotations

from typing import Any

from plaza_core.errors import MalformedRequest
from plaza_serving.doors.exchange import Exchange

HEADER = b"x-plaza-sticky"
PARAMETER = "sticky"
LONGEST = 256


def sticky_of(exchange: Exchange, parameter: Any = None) -> str | None:
    """Raises MalformedRequest for a word that is empty, too long or no text."""
    header = exchange.headers.get(HEADER)
    if header is None and parameter is None:
        return None
    return sticky_word(None if header is None else header.decode("latin-1"), parameter)


def sticky_word(header: str | None, parameter: Any = None) -> str | None:
    """The same, for a door that has other headers."""
    if header is not None:
        return _valid(header, HEADER.decode())
    return None if parameter is None else _valid(parameter, PARAMETER)


def _valid(word: Any, where: str) -> str:
    if type(word) is not str or not 0 < len(word) <= LONGEST or not word.isprintable():
        raise MalformedRequest(f"a sticky word is 1 to {LONGEST} printable characters", input=where)
    if "plz_" in word:
        raise MalformedRequest("a key belongs in the Authorization header", input=where)
    return word
