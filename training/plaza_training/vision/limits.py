"""`python -m plaza_training.vision.limits BUNDLE --limit bright=15 --out DIR`: a judge of pictures
with other limits, for a camera that the usual ones do not fit."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import onnx
import typer
from onnx import numpy_helper
from rich.console import Console

from plaza_core.errors import InvalidInput, PlazaError
from plaza_core.manifest import CARD_FILE, MODEL_FILE
from plaza_models.vision.quality import MEASURES
from plaza_registry.bundle import read_bundle
from plaza_registry.deriving import derived, derived_card

WEIGHTS = "limits"
_PLACES = {measure.name: place for place, measure in enumerate(MEASURES)}


def with_limits(bundle: Path, limits: Mapping[str, float], out: Path) -> None:
    """Raises InvalidInput for a measure that there is none of, Conflict when `out` is there."""
    for name in limits:
        if name not in _PLACES:
            raise InvalidInput(f"no measure '{name}'; there are: {', '.join(_PLACES)}", input=name)
    source = read_bundle(bundle)
    model = onnx.load(bundle / MODEL_FILE)
    (weights,) = (one for one in model.graph.initializer if one.name == WEIGHTS)
    values = numpy_helper.to_array(weights).copy()
    for name, limit in limits.items():
        values[_PLACES[name]] = limit
    weights.CopyFrom(numpy_helper.from_array(values, WEIGHTS))
    said = ", ".join(f"{name} {limit:g}" for name, limit in limits.items())
    text = f"# {source.manifest.name}, with limits of its own\n\nChanged: {said}. Not measured.\n"
    with derived(source, out, io.BytesIO(model.SerializeToString(deterministic=True))) as draft:
        card = derived_card(source, {"limits": dict(limits)}, text)
        (draft.directory / CARD_FILE).write_text(card, encoding="utf-8")
        draft.keep = True


def main(
    bundle: Path,
    limit: Annotated[list[str], typer.Option(help="MEASURE=VALUE, repeatable.")],
    out: Annotated[Path, typer.Option(help="The new bundle.")],
) -> None:
    """Write a bundle with other limits."""
    try:
        with_limits(bundle, dict(map(_limit, limit)), out)
    except PlazaError as error:
        Console(stderr=True).print(f"{error.code}: {error.message}", highlight=False)
        raise typer.Exit(1) from error


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise InvalidInput("a limit is MEASURE=VALUE", input="limit") from None


if __name__ == "__main__":
    typer.run(main)
