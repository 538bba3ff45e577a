"""`plaza train RECIPE`, `python -m plaza_training RECIPE`: from public data to a bundle."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from plaza_core.errors import InvalidInput, PlazaError
from plaza_core.plugins import ACCELERATORS, load
from plaza_core.running import RunnerFactory
from plaza_models.text.ngrams import Unit
from plaza_training.progress import RichProgress
from plaza_training.recipe import RECIPES, Job, Recipe, named_recipe
from plaza_training.runs import Runs

app = typer.Typer(add_completion=False, no_args_is_help=True)
TEXT = "text"
"""The recipe over a CSV file of one's own messages."""
_RECIPE_HELP = "A YAML file, `text` with --csv, or one of: " + ", ".join(sorted(RECIPES)) + "."


def open_runners(name: str) -> RunnerFactory:
    """An accelerator plug-in by name, or any RunnerFactory as `module:attribute`."""
    if ":" not in name:
        plugin: RunnerFactory = load(ACCELERATORS, name)
        return plugin
    module, _, attribute = name.partition(":")
    try:
        found: RunnerFactory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidInput(f"cannot load '{name}': {error}", input="runner") from error
    return found


def _asked(
    recipe: str, csv: Path | None, name: str | None, encoding: str | None, unit: Unit | None
) -> tuple[str, Recipe]:
    """The bundle's name and the recipe. Raises InvalidInput for a name that is none."""
    if (recipe == TEXT) != (csv is not None):
        raise InvalidInput(f"--csv and the recipe `{TEXT}` belong together", input="csv")
    if csv is None:
        if unit is not None:
            raise InvalidInput(f"--unit is for the recipe `{TEXT}`", input="unit")
        return named_recipe(recipe)
    from plaza_training.text.router import text_router

    name = name or re.sub(r"[^a-z0-9]+", "-", csv.stem.lower()).strip("-")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 63:
        raise InvalidInput("say a --name of lower-case letters, digits and '-'", input="name")
    return name, text_router(csv, name, encoding, unit or "word")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help=_RECIPE_HELP)],
    *,
    data: Annotated[
        Path, typer.Option(envvar="PLAZA_DATA", help="Directory with the data sets.")
    ] = Path("data"),
    out: Annotated[Path, typer.Option(help="Where the bundle's folder is written.")] = Path(
        "models/bundles"
    ),
    seed: Annotated[int, typer.Option(help="Everything random follows from it.")] = 1,
    csv: Annotated[
        Path | None, typer.Option(help="For the recipe `text`: columns text and label.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the bundle, with --csv; else that of the file.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of the CSV file, where it is not UTF-8 or UTF-16.")
    ] = None,
    unit: Annotated[
        Unit | None,
        typer.Option(
            help="With --csv, what a text is made of: words (default), or every character, for "
            "languages written without spaces."
        ),
    ] = None,
    runner: Annotated[
        str, typer.Option(help="Accelerator plug-in, or module:attribute of a RunnerFactory.")
    ] = "cpu",
    mlflow: Annotated[
        str | None, typer.Option(envvar="PLAZA_MLFLOW_URI", help="Where the run is written down.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Bundle of the champion, which answers the same exam.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Directory for checkpoints; a run goes on from its own.")
    ] = None,
) -> None:
    """Train, export, compare with torch, measure and describe one model."""
    console, errors = Console(), Console(stderr=True)
    try:
        name, chosen = _asked(recipe, csv, name, encoding, unit)
        runners = open_runners(runner)
        # Imports torch and, where a run is written down, mlflow; not needed for --help.
        from plaza_training.tracked import produce_tracked

        with RichProgress(console) as progress:
            job = Job(data, seed, progress, state=state)
            tracked = produce_tracked(
                name, chosen, job, out, runners, runs=_runs(mlflow), champion=against
            )
        made = tracked.produced
    except ModuleNotFoundError as error:
        errors.print(f"training needs '{error.name}': install the extra `train`", markup=False)
        raise typer.Exit(1) from error
    except PlazaError as error:
        where = f" ({error.input})" if error.input else ""
        line = Text.assemble(f"{recipe}: ", (error.code, "red"), f"{where}: {error.message}")
        errors.print(line, highlight=False)
        raise typer.Exit(1) from error
    for metric, value in made.report.metrics.items():
        console.print(f"{metric:>24}  {value:.4g}", highlight=False)
    console.print(f"{'parity':>24}  {made.parity.max_abs_error:.2e} over {made.parity.rows} rows")
    if tracked.verdict is not None:
        console.print(tracked.verdict.words(), highlight=False)
    console.print(f"{made.directory}: model.onnx has {made.model_bytes:,} bytes", highlight=False)


def _runs(uri: str | None) -> Runs | None:
    if uri is None:
        return None
    from plaza_registry.mlflow_runs import MlflowRuns

    return MlflowRuns(uri)


def main() -> None:
    app()
