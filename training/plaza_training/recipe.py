"""What a recipe is: a function from a Job to a Trained model, and the list of those that ship.

A recipe trains and knows how to measure; it exports nothing. `pipeline.produce` turns what it
returns into a bundle, so that every model is exported, compared and described in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plaza_core.errors import NotFound
from plaza_core.manifest import Limits
from plaza_core.tensors import Array
from plaza_training.data import DataSet
from plaza_training.progress import Progress
from plaza_training.runs import NoLog, RunLog
from plaza_training.served import Served

if TYPE_CHECKING:  # torch is heavy; listing recipes must not import it
    from torch import nn

_BASELINES = "plaza_training.forecast.baselines:RECIPES"
_PROTOCOLS = (
    *(f"ett{which}-{horizon}" for which in ("h1", "h2") for horizon in (96, 336, 720)),
    *("wth-24", "wth-168", "los-loop-12", "iso-ne-24", "m4-hourly", "m4-weekly"),
)

RECIPES: dict[str, str] = {
    "all-minilm-l6-v2": "plaza_training.text.minilm:all_minilm_l6_v2",
    "assistant-intents": "plaza_training.text.scope:assistant_intents",
    "banking-intents": "plaza_training.text.classify:banking_intents",
    "chinese-titles": "plaza_training.text.titles:chinese_titles",
    "electricity-load-quantiles": "plaza_training.forecast.recipes:electricity_load",
    "iso-ne-forecaster": "plaza_training.forecast.days:RECIPES",
    "los-loop-forecaster": "plaza_training.forecast.roads:RECIPES",
    "m4-hourly-forecaster": "plaza_training.forecast.checked:RECIPES",
    "flusight-forecaster": "plaza_training.forecast.admissions:RECIPES",
    "picture-quality": "plaza_training.vision.quality_recipe:picture_quality",
    "road-vehicles": "plaza_training.vision.recipe:road_vehicles",
    "sentence-embedder": "plaza_training.text.embed:sentence_embedder",
    "wet-bulb-forecaster": "plaza_training.forecast.heat:RECIPES",
    "traffic-speed-quantiles": "plaza_training.forecast.congestion:traffic_speed",
    **{
        f"{name}-forecaster": "plaza_training.forecast.pooled:RECIPES"
        for name in _PROTOCOLS
        if name.startswith(("ett", "wth"))
    },
    **{f"{name}-{method}": _BASELINES for name in _PROTOCOLS for method in ("naive", "ridge")},
}
"""Name -> `module:attribute`, a recipe or recipes by name. The name is also the bundle's folder."""

RECIPE_FILE = "recipe.yaml"
"""In a bundle: the recipe it was made by, where that was a file."""
Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a recipe. Everything random follows from `seed`."""

    data_dir: Path
    seed: int
    progress: Progress
    log: RunLog = field(default_factory=NoLog)
    """Where curves go."""
    state: Path | None = None
    """Directory for checkpoints; a run that finds its own goes on from there. None keeps none."""


@dataclass(frozen=True, slots=True)
class Graph:
    """How the module becomes a graph: names in order, shapes by example."""

    module: nn.Module
    inputs: Mapping[str, Array]
    """Graph input -> an example with at least 2 rows; axis 0 becomes the axis `batch`."""
    outputs: Sequence[str]
    variable: str | None = None
    """Axis 1 of all inputs, where it varies: its name."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What was lost on each held-out window, in order of time; less is better."""

    metric: str
    """Which of the report's metrics they make up."""
    each: NDArray[np.float64]
    stretch: int = 1
    """Windows in a row that are alike, because they share values or weather."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, on what, and against what. All values come from held-out data."""

    split: str
    metrics: Metrics
    baselines: Mapping[str, Metrics]
    """Name of a simpler method -> the same metrics on the same split."""
    losses: Losses | None = None
    """For comparing two models pair by pair; None where that is not offered."""
    references: Mapping[str, Metrics] = field(default_factory=dict)
    """The same of what is larger or published: for the reader, not to be beaten."""


@dataclass(frozen=True, slots=True)
class Story:
    """The prose of a card."""

    title: str
    summary: str
    """What it is for and how it works, in a few sentences."""
    limits: str
    """What it must not be used for, and where it is known to be weak."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model with all that a bundle and its card need."""

    graph: Graph
    family: str
    options: Mapping[str, Any]
    data: Sequence[DataSet]
    licence: str
    """Licence of the weights."""
    story: Story
    parameters: Mapping[str, Any]
    """Every choice that shaped the weights, as the card lists it."""
    parity_inputs: Sequence[Mapping[str, Array]]
    """Held-out inputs, in batches of several sizes, for torch against the exported graph."""
    evaluate: Callable[[Served], Report]
    """Measures the bundle as the hub will serve it: family, graph, family."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Further files of the bundle: labels, vocabularies, sample inputs."""
    samples: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    buckets: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Variable axis -> sizes that requests are padded to."""
    invoked: str = ""
    """What stood behind `train` on the command line, where it is more than the recipe's name."""


Recipe = Callable[[Job], Trained]


def named_recipe(said: str) -> tuple[str, Recipe]:
    """A recipe by name, or by the path of a YAML file, with the name of its bundle."""
    if said.endswith((".yaml", ".yml")):
        from plaza_training.recipe_file import read_recipe

        return read_recipe(Path(said))
    return said, load_recipe(said)


def load_recipe(name: str) -> Recipe:
    """Import one recipe. Raises NotFound naming those that exist."""
    if name not in RECIPES:
        raise NotFound(f"no recipe '{name}'; there are: {', '.join(sorted(RECIPES))}", input=name)
    module, _, function = RECIPES[name].partition(":")
    found: Recipe | Mapping[str, Recipe] = getattr(import_module(module), function)
    return found[name] if isinstance(found, Mapping) else found
