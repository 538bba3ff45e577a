"""A small plot as SVG text: axes, lines with gaps, bands, marks, a legend.

matplotlib draws the demonstration's charts but not these: see decision 39.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]
WIDTH, HEIGHT = 960, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 20, 64, 46
INK, FAN, PALE = "#1f2a44", "#2f6fde", "#d7dbe4"
_FONT = "font-family='DejaVu Sans, Verdana, sans-serif'"
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers between the two, some `about` of them."""
    raw = (high - low) / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * nice for nice in _NICE if size * nice >= raw)
    return [step * at for at in range(math.ceil(low / step), math.floor(high / step) + 1)]


@dataclass(slots=True)
class Plot:
    """Drawn in the order of the calls."""

    x: tuple[float, float]
    y: tuple[float, float]
    title: str
    xlabel: str
    ylabel: str
    _parts: list[str] = field(default_factory=list)
    _legend: list[str] = field(default_factory=list)
    _reach: float = 0.0

    @classmethod
    def around(
        cls, x: Sequence[float], values: ArrayLike, *, title: str, xlabel: str, ylabel: str
    ) -> Plot:
        """Axes that hold all finite `values`, with a margin."""
        found = np.asarray(values, np.float64)
        found = found[np.isfinite(found)]
        low, high = float(found.min()), float(found.max())
        margin = 0.06 * (high - low) or max(abs(high) * 0.1, 1.0)
        left, right = x[0], x[-1] if x[-1] > x[0] else x[0] + 1
        return cls((left, right), (low - margin, high + margin), title, xlabel, ylabel)

    def line(
        self, x: ArrayLike, y: ArrayLike, colour: str, name: str = "", width: float = 1.6
    ) -> None:
        """NaN breaks it; a value alone is a dot."""
        for xs, ys in _stretches(np.asarray(x, np.float64), np.asarray(y, np.float64)):
            if len(xs) == 1:
                self.mark(xs[0], ys[0], colour, 1.5)
            else:
                points = self._points(xs, ys)
                self._parts.append(
                    f"<polyline points='{points}' fill='none' stroke='{colour}' "
                    f"stroke-width='{width}' stroke-linejoin='round'/>"
                )
        self._named(name, colour, line=True)

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: str, name: str) -> None:
        xs = np.asarray(x, np.float64)
        outline = np.r_[xs, xs[::-1]], np.r_[np.asarray(low), np.asarray(high)[::-1]]
        self._parts.append(f"<polygon points='{self._points(*outline)}' fill='{colour}'/>")
        self._named(name, colour, line=False)

    def level(self, y: float, colour: str, label: str) -> None:
        """A line across, with its name at the left end."""
        height = self._y(y)
        self._parts.append(
            f"<line x1='{_LEFT}' x2='{WIDTH - _RIGHT}' y1='{height:.1f}' y2='{height:.1f}' "
            f"stroke='{colour}' stroke-width='1.4' stroke-dasharray='7 4'/>"
        )
        self._text(_LEFT + 6, height - 5, label, colour=colour, weight="bold", halo=True)

    def upright(self, x: float) -> None:
        at = self._x(x)
        self._parts.append(
            f"<line x1='{at:.1f}' x2='{at:.1f}' y1='{_TOP}' y2='{HEIGHT - _BOTTOM}' "
            f"stroke='{INK}' stroke-width='0.8' stroke-dasharray='2 3'/>"
        )

    def mark(self, x: float, y: float, colour: str, radius: float) -> None:
        self._parts.append(
            f"<circle cx='{self._x(x):.1f}' cy='{self._y(y):.1f}' r='{radius}' fill='{colour}'/>"
        )

    def legend(self, name: str, colour: str) -> None:
        """An entry with a dot."""
        self._entry(name, f"<circle cx='9' cy='-4' r='4.5' fill='{colour}'/>")

    def svg(self) -> bytes:
        drawn, self._parts = self._parts, []
        self._axes()
        axes, self._parts = self._parts, []
        self._text(_LEFT, 22, self.title, size=15, weight="bold")
        head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}' "
            f"viewBox='0 0 {WIDTH} {HEIGHT}' role='img'><title>{escape(self.title)}</title>"
            f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>"
        )
        whole = (head, *axes, *drawn, *self._parts, *self._legend, "</svg>")
        return "\n".join(whole).encode()

    def _axes(self) -> None:
        for value in ticks(*self.y):
            height = self._y(value)
            self._parts.append(
                f"<line x1='{_LEFT}' x2='{WIDTH - _RIGHT}' y1='{height:.1f}' y2='{height:.1f}' "
                f"stroke='{PALE}' stroke-width='0.7'/>"
            )
            self._text(_LEFT - 8, height + 4, _number(value), anchor="end")
        bottom = HEIGHT - _BOTTOM
        for value in ticks(*self.x, about=10):
            self._text(self._x(value), bottom + 18, _number(value), anchor="middle")
        self._parts.append(
            f"<path d='M{_LEFT} {_TOP}V{bottom}H{WIDTH - _RIGHT}' fill='none' stroke='{INK}'/>"
        )
        self._text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 8, self.xlabel, anchor="middle")
        self._text(_LEFT, _TOP - 10, self.ylabel)

    def _named(self, name: str, colour: str, *, line: bool) -> None:
        height, top = (3, -6) if line else (11, -10)
        if name:
            shape = f"<rect x='0' y='{top}' width='18' height='{height}' fill='{colour}'/>"
            self._entry(name, shape)

    def _entry(self, name: str, shape: str) -> None:
        """Entries stand in one row, from the right."""
        self._reach += 34 + 7.2 * len(name)
        place = WIDTH - _RIGHT - self._reach
        self._legend.append(
            f"<g transform='translate({place:.1f} {_TOP - 10})'>{shape}<text x='24' y='0' {_FONT} "
            f"font-size='12' fill='{INK}'>{escape(name)}</text></g>"
        )

    def _text(
        self,
        x: float,
        y: float,
        said: str,
        *,
        anchor: str = "start",
        size: int = 12,
        colour: str = INK,
        weight: str = "normal",
        halo: bool = False,
    ) -> None:
        white = " stroke='white' stroke-width='4' paint-order='stroke'" if halo else ""
        self._parts.append(
            f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-size='{size}' "
            f"font-weight='{weight}' fill='{colour}' {_FONT}{white}>{escape(said)}</text>"
        )

    def _points(self, x: Values, y: Values) -> str:
        return " ".join(f"{self._x(a):.1f},{self._y(b):.1f}" for a, b in zip(x, y, strict=True))

    def _x(self, value: float) -> float:
        low, high = self.x
        return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        low, high = self.y
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)


def shade(depth: int) -> str:
    """Colour of the band at `depth` from outside: that of the fan thinned with white."""
    strength = min(0.2 + 0.15 * depth, 0.65)
    parts = (int(FAN[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(255 - strength * (255 - part)):02x}" for part in parts)


def _stretches(x: Values, y: Values) -> list[tuple[Values, Values]]:
    """What lies between gaps."""
    there = np.flatnonzero(np.isfinite(y))
    runs = np.split(there, np.flatnonzero(np.diff(there) > 1) + 1)
    return [(x[run], y[run]) for run in runs if len(run)]


def _number(value: float) -> str:
    return f"{value:,.10g}" if abs(value) < 1e15 else f"{value:.3g}"
