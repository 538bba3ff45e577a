"""`up`, `down` and `doctor`: the supervisor's, imported when they are run and not before."""

from __future__ import annotations

from importlib import import_module

import typer

from plaza_serving.cli.session import session

_COMMANDS = "plaza_serving.supervisor.commands"
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def mount(app: typer.Typer) -> None:
    for command in (up, down, doctor):
        app.command(context_settings=_PASS_ON, add_help_option=False)(command)


def up(context: typer.Context) -> None:
    """Start the hub on this machine and watch over it."""
    _run("up", context.args)


def down(context: typer.Context) -> None:
    """Stop the hub on this machine."""
    _run("down", context.args)


def doctor(context: typer.Context) -> None:
    """Check versions, ports and the sandbox; say what is open to the network."""
    # The main command takes `--json` for all of its own, wherever it is typed.
    _run("doctor", [*context.args, *(["--json"] if session(context).as_json else [])])


def _run(name: str, arguments: list[str]) -> None:
    """The supervisor's function declares its own options; they are parsed as if typed here."""
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command(name)(getattr(import_module(_COMMANDS), name))
    command(arguments, prog_name=f"plaza {name}")
