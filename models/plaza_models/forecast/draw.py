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
    shown: int = 144,
) -> bytes:
    """PNG, 960 by 440 pixels: the last `shown` values and the forecast behind them.

    The x axis is hours from now when `step_seconds` is given, else steps. Raises InvalidInput
    for an empty history.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not history:
        raise InvalidInput("a chart needs at least one past value", input="values")
    past = np.asarray(history[-shown:], dtype=np.float64)
    hour = step_seconds / _HOURS if step_seconds else 1.0
    ahead = np.arange(0, len(forecast.values[0]) + 1) * hour

    figure = Figure(figsize=(9.6, 4.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(np.arange(1 - len(past), 1) * hour, past, color=_INK, linewidth=1.4, label="measured")
    # Every band starts in the last measured value, where nothing is uncertain.
    rows = {q: np.r_[past[-1], v] for q, v in zip(forecast.quantiles, forecast.values, strict=True)}
    for low, high in _bands(forecast.quantiles):
        axes.fill_between(
            ahead, rows[low], rows[high], color=_FAN, alpha=0.18, linewidth=0,
            label=f"{100 * (high - low):.0f} %",
        )  # fmt: skip
    centre = min(forecast.quantiles, key=lambda level: abs(level - 0.5))
    name = "median" if centre == 0.5 else f"quantile {centre:g}"
    axes.plot(ahead, rows[centre], color=_FAN, linewidth=2, label=name)
    axes.axvline(0, color=_INK, linewidth=0.6, linestyle=":")
    axes.set(title=title, ylabel=unit, xlabel="hours from now" if step_seconds else "steps")
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.3)
    axes.legend(frameon=False, loc="upper left", ncols=4)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _bands(levels: Sequence[float]) -> list[tuple[float, float]]:
    """Pairs (q, 1 - q) of the levels, widest first."""
    ordered = sorted(levels)
    half = len(ordered) // 2
    pairs = zip(ordered[:half], reversed(ordered[-half:] if half else ()), strict=True)
    return [(low, high) for low, high in pairs if abs(low + high - 1) < 1e-6]
