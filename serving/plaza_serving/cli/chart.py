"""Charts in the terminal: a bar for one amount, and a budget's way through its period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_WIDTH: Final = 16
_COLUMNS: Final = 60
_ROWS: Final = 10


def bar(part: int, whole: int | None, *, percent: bool = True) -> str:
    """`part` of `whole` as a bar, with its percentage; nothing where there is no whole."""
    if whole is None:
        return ""
    share = 0.0 if part <= 0 else 1.0 if part >= whole else part / whole
    eighths = round(share * _WIDTH * 8)
    # Something is never drawn as nothing, and not quite all never as all.
    if 0 < part < whole:
        eighths = min(max(1, eighths), _WIDTH * 8 - 1)
    full = "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
    if not percent:
        return full
    told = "100+" if part > whole else str(100 if whole == 0 else part * 100 // whole)
    return f"{full:·<{_WIDTH}} {told:>4} %"


@dataclass(frozen=True, slots=True)
class Way:
    """A budget in its period: (moment, used until then) with moments growing, all in µs."""

    start: int
    end: int
    now: int
    limit: int
    runs_out: int | None
    """When the hub expects the limit to be met; None: not in this period."""
    points: Sequence[tuple[int, int]]

    def used_at(self, moment: int) -> int:
        return max((used for at, used in self.points if at <= moment), default=0)

    def expected_at(self, moment: int) -> int:
        """If spending goes on as it did; the same as the hub says about the end."""
        used = self.used_at(self.now)
        if self.runs_out is not None:
            left, until = self.limit - used, max(1, self.runs_out - self.now)
            return used + left * (moment - self.now) // until if left > 0 else used
        begun = min((at for at, _ in self.points), default=self.now)
        passed = self.now - begun
        grown = used if passed <= 0 else used + used * (moment - self.now) // passed
        return min(grown, self.limit)


def drawn(way: Way) -> list[str]:
    """Lines of a chart: █ used, ░ expected, ─ the limit, │ now."""
    step = (way.end - way.start) / _COLUMNS
    moments = [round(way.start + step * (column + 1)) for column in range(_COLUMNS)]
    values = [way.used_at(at) if at <= way.now else way.expected_at(at) for at in moments]
    top = max(way.limit, min(max(values), 2 * way.limit), 1)
    limit_row = min(_ROWS - 1, (way.limit * _ROWS - 1) // top) if way.limit else 0
    lines = []
    for row in reversed(range(_ROWS)):
        cells = []
        for at, value in zip(moments, values, strict=True):
            if value * _ROWS > row * top:
                cells.append("█" if at <= way.now else "░")
            elif row == limit_row:
                cells.append("─")
            else:
                cells.append("│" if at <= way.now < at + step else " ")
        name = f"{way.limit:,}" if row == limit_row else ""
        lines.append(f"{name:>20} ┤{''.join(cells)}".rstrip())
    lines.append(f"{'':>20} └{'─' * _COLUMNS}")
    return lines
