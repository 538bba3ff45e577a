"""A forecast as a fan chart: history, median, and one band per pair of quantiles.

matplotlib is imported here and only when a chart is drawn, with the Agg canvas and no global state.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from plaza_core.errors import InvalidInput
from plaza_models.tasks import Forecast

_INK = "#1f2a44"
_FAN = "#2f6fde"
_HOURS = 3600


def fan_chart(
    history: Sequence[float],
    forecast: Forecast,
    *,
    title: str = "",
    unit: str = "",
    step_seconds: int | None = None,
    shown: int | None = None,
) -> bytes:
    """PNG, 960 by 440 pixels: the last `shown` values (None: six times what is forecast),
    then the forecast.

    The x axis is hours from now when `step_seconds` is given, else steps. Raises InvalidInput
    for an empty history.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not history:
        raise InvalidInput("a chart needs at least one past value", input="values")
    steps = len(forecast.values[0])
    past = np.asarray(history[-(shown or 6 * steps) :], dtype=np.float64)
    hour = step_seconds / _HOURS if step_seconds else 1.0
    ahead = np.arange(0, steps + 1) * hour

    figure = Figure(figsize=(9.6, 4.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(np.arange(1 - len(past), 1) * hour, past, color=_INK, linewidth=1.4, label="measured")
    # Every band starts in the last measured value, where nothing is uncertain.
    rows = {q: np.r_[past[-1], v] for q, v in zip(forecast.quantiles, forecast.values, strict=True)}
    for depth, (low, high) in enumerate(_bands(forecast.quantiles)):
        share = f"{100 * (high - low):.0f} %"
        # Opaque shades, so that a band looks like its entry in the legend.
        axes.fill_between(ahead, rows[low], rows[high], color=_shade(depth), lw=0, label=share)
    centre = min(forecast.quantiles, key=lambda level: abs(level - 0.5))
    name = "median" if centre == 0.5 else f"quantile {centre:g}"
    axes.plot(ahead, rows[centre], color=_FAN, linewidth=2, label=name)
    axes.axvline(0, color=_INK, linewidth=0.6, linestyle=":")
    axes.set(ylabel=unit, xlabel="hours from now" if step_seconds else "steps from now")
    axes.set_title(title, loc="left")
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.3)
    # Above the axes, where it can hide nothing.
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, ncols=5)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _shade(depth: int) -> tuple[float, float, float]:
    """Colour of the band at `depth` from outside: the ink of the fan thinned with white."""
    strength = min(0.2 + 0.15 * depth, 0.65)
    red, green, blue = (int(_FAN[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return (
        1 - strength * (1 - red),
        1 - strength * (1 - green),
        1 - strength * (1 - blue),
    )


def _bands(levels: Sequence[float]) -> list[tuple[float, float]]:
    """Pairs (q, 1 - q) of the levels, widest first."""
    ordered = sorted(levels)
    half = len(ordered) // 2
    pairs = zip(ordered[:half], reversed(ordered[-half:] if half else ()), strict=True)
    return [(low, high) for low, high in pairs if abs(low + high - 1) < 1e-6]
