"""The command `plaza`: global options, the groups, and what its exit codes mean.

0 done · 1 the hub refused · 2 the command line is wrong · 3 the hub cannot be reached
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated

import typer
from rich.console import Console

from plaza_serving.cli import (
    alerts,
    backup,
    bundles,
    catalogue,
    certificates,
    forecasting,
    forecasts,
    indexes,
    infer,
    ledger,
    lifecycle,
    limits,
    login,
    models,
    people,
    processes,
    quantise,
    quotas,
    reports,
    rollouts,
    series,
    tenants,
    tracking,
    training,
)
from plaza_serving.cli.session import WRONG, Session

_JSON = "--json"
_UNWATCHED_COLUMNS = 1_000

app = typer.Typer(
    name="plaza",
    help="A shared AI inference hub: run it, register models, hand out keys, call models.",
    epilog="Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the hub cannot be reached.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
processes.mount(app)
bundles.mount(models.app)
certificates.mount(models.app)
quantise.mount(models.app)
tracking.mount(models.app)
app.add_typer(models.app, name="models")
lifecycle.mount(models.app)
catalogue.mount(models.app)
app.add_typer(catalogue.app, name="catalogue")
app.add_typer(rollouts.app, name="rollouts")
app.add_typer(tracking.app, name="proposals")
app.add_typer(tenants.organisations, name="orgs")
app.add_typer(tenants.projects, name="projects")
app.add_typer(tenants.keys, name="keys")
app.add_typer(people.members, name="members")
limits.mount()
forecasts.mount()
app.add_typer(quotas.quota, name="quota")
app.add_typer(quotas.prices, name="prices")
app.add_typer(quotas.shares, name="shares")
app.add_typer(indexes.app, name="indexes")
forecasting.mount(infer.app)
series.mount(infer.app)
app.add_typer(infer.app, name="infer")
login.mount(app)
app.add_typer(alerts.app, name="alerts")
reports.mount(app)
ledger.mount(app)
backup.mount(app)
training.mount(app)


@app.callback()
def _global_options(  # noqa: PLR0917 the options of the command line, which have names
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help="Where models are called.")] = None,
    control: Annotated[str | None, typer.Option(help="Where the hub is administered.")] = None,
    key: Annotated[
        str | None,
        typer.Option(help="API key; better in PLAZA_API_KEY, where no process list shows it."),
    ] = None,
    as_json: Annotated[bool, typer.Option(_JSON, help="Print JSON, for programs.")] = False,
    patience: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds to try again what the hub refuses for now; 0: never. Default: 30, and 0"
            " for inferences.",
        ),
    ] = None,
) -> None:
    out, err = _console(stderr=False), _console(stderr=True)
    context.obj = Session(url, control, key, as_json, out, err, patience)


def _console(*, stderr: bool) -> Console:
    """As wide as the terminal. Where there is none, nothing is folded: a program or a file reads
    it, and half an id is none."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _UNWATCHED_COLUMNS
    return console


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    try:
        _command()(_hoisted(sys.argv[1:] if arguments is None else arguments))
    except OSError as error:
        if error.filename is None:
            raise
        line = f"{error.filename}: {error.strerror}"  # the command line named it
        _console(stderr=True).print(line, style="red", markup=False, soft_wrap=True)
        sys.exit(WRONG)


@cache  # of 110 commands; to make them takes longer than to run one
def _command() -> Callable[[list[str]], None]:
    return typer.main.get_command(app)


def _hoisted(arguments: Sequence[str]) -> list[str]:
    """`--json` where people look for it first: at the end."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    before = [one for one in arguments[:end] if one != _JSON]
    return [*([_JSON] if len(before) < end else []), *before, *arguments[end:]]
