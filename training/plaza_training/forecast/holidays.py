"""Days on which people in the United States live otherwise, in the kinds that loads tell apart."""

from __future__ import annotations

from datetime import date, timedelta

NONE, GREAT, SUMMER, LESSER, SMALL, EVE = range(6)
"""Not one; New Year, Thanksgiving, Christmas; Memorial, Independence and Labour Day; Presidents'
Day, the Friday after Thanksgiving, a great one made up for on Monday; the others; an eve."""
KINDS = 5


def kind_of(day: date) -> int:
    """0, or what kind of holiday it is."""
    return _year(day.year).get(day, NONE)


def _year(year: int) -> dict[date, int]:
    found = {date(year, 12, 24): EVE, date(year, 12, 31): EVE}
    for month, weekday, count, kind in (
        (1, 0, 3, SMALL),
        (2, 0, 3, LESSER),
        (4, 0, 3, SMALL),  # Patriots' Day, in New England
        (9, 0, 1, SUMMER),
        (10, 0, 2, SMALL),
        (11, 3, 4, GREAT),
    ):
        found[nth(year, month, weekday, count)] = kind
    found[nth(year, 11, 3, 4) + timedelta(1)] = LESSER
    memorial = date(year, 5, 31)
    found[memorial - timedelta(memorial.weekday())] = SUMMER
    for month, of_month, kind in ((1, 1, GREAT), (7, 4, SUMMER), (11, 11, SMALL), (12, 25, GREAT)):
        day = date(year, month, of_month)
        found[day] = kind
        if day.weekday() == 6:  # made up for on Monday
            found[day + timedelta(1)] = max(kind, SUMMER)
    return found


def nth(year: int, month: int, weekday: int, count: int) -> date:
    """The `count`th such weekday (Monday is 0) of a month."""
    first = date(year, month, 1)
    return first + timedelta((weekday - first.weekday()) % 7 + 7 * (count - 1))


def summer_time(day: date) -> bool:
    """By the rule of 1987 to 2006: first Sunday of April to last Sunday of October; from 2007 on
    second Sunday of March to first Sunday of November."""
    if day.year >= 2007:
        return nth(day.year, 3, 6, 2) <= day < nth(day.year, 11, 6, 1)
    last = date(day.year, 10, 31)
    return nth(day.year, 4, 6, 1) <= day < last - timedelta((last.weekday() + 1) % 7)
