"""Levels for a trained model of single series, set on rows that taught nothing, judged on the test.

rows:   what teaches ─▶ history, in pieces ─▶ test
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch import Tensor

from plaza_models.forecast.options import ForecastOptions
from plaza_models.options import read_options
from plaza_training.forecast.assemble import inputs_of
from plaza_training.forecast.forecaster import Values, applied
from plaza_training.forecast.judge import asked
from plaza_training.forecast.protocols import Pairs
from plaza_training.forecast.recipes import scales
from plaza_training.forecast.watch import History, Watch, measured, metrics_of, set_levels
from plaza_training.forecast.windows import Windows
from plaza_training.recipe import Report, Trained
from plaza_training.served import Served


@dataclass(frozen=True, slots=True)
class Watched:
    """What is warned of, and the windows of all series that nothing was learnt from."""

    watch: Watch
    history: Pairs
    test: Pairs
    where: str
    """The history, in words of the card."""


def pairs_of(windows: Windows, piece: int | None = None) -> Pairs:
    """All windows, one series after the other; `piece`: so many origins in a row hang together. A
    rest belongs to the piece before it."""
    blocks = list(windows.by_column())
    past, future = (np.concatenate([block[side] for block in blocks]) for side in (0, 1))
    if piece is None:
        return Pairs(past, future)
    origins = np.arange(len(windows.origins))
    numbers = np.minimum(origins // piece, max(0, len(origins) // piece - 1))
    return Pairs(past, future, pieces=np.tile(numbers, len(blocks)))


def with_levels(trained: Trained, watched: Watched, quantiles: Values | None = None) -> Trained:
    """The model with levels, whose test tells what they were worth. `quantiles` (n, levels,
    horizon) of the history, where they are not the model's own. Raises InvalidInput where no level
    keeps its promise, or what it warns of never came."""
    options = read_options(ForecastOptions, trained.options)
    if quantiles is None:
        trained.graph.module.eval()
        quantiles = in_units(trained.graph.module, watched.history, options)
    history = History.of(quantiles, watched.history, watched.watch)
    options = options.model_copy(update={"levels": set_levels(watched.watch, history, options)})
    share = f"{100 * watched.watch.false_alarms:g} %"
    said = (
        f" Warning levels, of {watched.watch.said}: set on {watched.where}, so that in 19 of 20 "
        f"such pieces to come at most {share} of the times without it should be warned about."
    )
    return replace(
        trained,
        options=options.model_dump(exclude_none=True),
        story=replace(trained.story, summary=trained.story.summary + said),
        evaluate=partial(_evaluate, trained.evaluate, watched, options),
    )


def in_units(module: Callable[..., Tensor], pairs: Pairs, options: ForecastOptions) -> Values:
    """(n, levels, horizon) as they will be served."""
    offset, factor = (part[:, :, None] for part in scales(pairs.past, options.scaling))
    found = applied(module, *inputs_of(pairs, options).values())
    return np.sort(found * factor + offset, axis=-2)


def _evaluate(
    evaluate: Callable[[Served], Report], watched: Watched, options: ForecastOptions, served: Served
) -> Report:
    """A champion answers with quantiles of its own."""
    report = evaluate(served)
    theirs = read_options(ForecastOptions, served.manifest.options)
    history = History.of(asked(served, watched.test)[0], watched.test, watched.watch)
    warned = measured(watched.watch, history, theirs.model_copy(update={"levels": options.levels}))
    return replace(report, metrics={**report.metrics, **metrics_of(warned)})
