"""The forms of names and months that bodies and paths take, and how a refusal describes them."""

from __future__ import annotations

from typing import Final

NAME: Final = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"
MONTH: Final = r"^[12][0-9]{3}-(0[1-9]|1[0-2])$"
PROVIDER: Final = r"^[a-z0-9-]{1,64}$"

WORDS: Final = {
    NAME: "a name is 1 to 63 lower-case letters, digits and '-', without '-' at its ends",
    MONTH: "a month is a year and a number from 01 to 12, such as 2026-11",
    PROVIDER: "a provider is 1 to 64 lower-case letters, digits and '-', such as cpu or cuda",
}
