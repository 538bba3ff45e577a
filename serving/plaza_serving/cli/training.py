"""`data` and `train`: commands of the training room, found by entry point.

Serving does not know training; where it is not installed the commands say so.
"""

from __future__ import annotations

import typer

from plaza_core.errors import PlazaError
from plaza_core.plugins import load
from plaza_serving.cli.session import REFUSED, session

COMMANDS = "plaza.commands"
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def mount(app: typer.Typer) -> None:
    for command in (data, train):
        app.command(context_settings=_PASS_ON, add_help_option=False)(command)


def data(context: typer.Context) -> None:
    """List, fetch and verify public data sets for training."""
    # The main command takes `--json` for all of its own, wherever it is typed.
    _run(context, "data", [*context.args, *(["--json"] if session(context).as_json else [])])


def train(context: typer.Context) -> None:
    """Train a model by a recipe: from public data to a bundle with its card."""
    _run(context, "train", context.args)


def _run(context: typer.Context, name: str, arguments: list[str]) -> None:
    try:
        command = load(COMMANDS, name)
    except PlazaError as error:
        session(context).err.print(f"{error.code}: {error.message}", style="red", markup=False)
        raise typer.Exit(REFUSED) from None
    command(arguments, prog_name=f"plaza {name}")
