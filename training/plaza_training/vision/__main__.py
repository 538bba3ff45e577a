"""`python -m plaza_training.vision`: the recipe `road-vehicles` with its knobs.

Without options it makes exactly what `python -m plaza_training road-vehicles` makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from plaza_core.errors import PlazaError
from plaza_training.cli import open_runners
from plaza_training.pipeline import produce
from plaza_training.progress import RichProgress
from plaza_training.recipe import Job, Trained
from plaza_training.vision.recipe import learn
from plaza_training.vision.sets import load_road_data
from plaza_training.vision.smoke import smoke as small
from plaza_training.vision.train import Choices


def train(  # noqa: PLR0917 typer makes options of parameters
    data: Annotated[
        Path, typer.Option(envvar="PLAZA_DATA", help="Directory with the data sets.")
    ] = Path("data"),
    out: Annotated[Path, typer.Option(help="Where the bundle's folder is written.")] = Path(
        "models/bundles"
    ),
    seed: Annotated[int, typer.Option(help="Everything random follows from it.")] = 7,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: those of the card.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Keep a checkpoint here and go on from it.")
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Rendered pictures, small input, about half a minute.")
    ] = False,
    runner: Annotated[
        str, typer.Option(help="Accelerator plug-in, or module:attribute of a RunnerFactory.")
    ] = "cpu",
) -> None:
    """Train the road-vehicle detector, export it, compare, measure and describe it."""
    console = Console()
    choices = Choices(seed=seed) if epochs is None else Choices(seed=seed, epochs=epochs)

    def full(job: Job) -> Trained:
        return learn(load_road_data(job.data_dir), choices, job, state=state)

    name, recipe = ("road-vehicles-smoke", small) if smoke else ("road-vehicles", full)
    try:
        with RichProgress(console) as progress:
            made = produce(name, recipe, Job(data, seed, progress), out, open_runners(runner))
    except PlazaError as error:
        where = f" ({error.input})" if error.input else ""
        console.print(f"[red]{error.code}[/red]{where}: {error.message}", highlight=False)
        raise typer.Exit(1) from error
    for metric, value in made.report.metrics.items():
        console.print(f"{metric:>28}  {value:.4g}", highlight=False)
    console.print(f"{'parity':>28}  {made.parity.max_abs_error:.2e} over {made.parity.rows} rows")
    console.print(f"{made.directory}: model.onnx has {made.model_bytes:,} bytes", highlight=False)


if __name__ == "__main__":
    typer.run(train)
