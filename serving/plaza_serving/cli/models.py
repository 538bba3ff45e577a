"""`plaza models …`: register bundles, look at versions. What becomes of them: `lifecycle`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

import plaza
from plaza_core.table import Visibility
from plaza_serving.cli.session import Session, session
from plaza_serving.cli.show import moment, plain, state, table_of

app = typer.Typer(help="Models, their versions and aliases.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="model, project.model or organisation.project.model")]
WHO = "Who may call it; default: as it is, of a new model its project."
For = Annotated[
    str | None, typer.Option("--organisation", help="Act for this one; operators only.")
]


@app.command()
def register(
    *,
    context: typer.Context,
    directory: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="The bundle.", metavar="DIR")
    ],
    name: Annotated[str | None, typer.Option(help="Default: the manifest's.")] = None,
    project: Annotated[str | None, typer.Option(help="Default: the key's.")] = None,
    visibility: Annotated[Visibility | None, typer.Option(help=WHO)] = None,
    run: Annotated[
        str | None, typer.Option(help="The run of MLflow that trained it.", metavar="RUN_ID")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Its experiment, where it is in another MLflow.")
    ] = None,
    organisation: For = None,
) -> None:
    """Send a bundle and make it a version. The same bundle again changes nothing."""
    here = session(context)
    with here.hub() as hub, _Bars(here.err) as bars:
        done = hub.models.register(
            directory,
            name=name,
            project=project,
            visibility=None if visibility is None else visibility.value,
            run=run,
            experiment=experiment,
            organisation=organisation,
            progress=bars.sent,
        )
    show_registered(here, done)


def show_registered(here: Session, done: plaza.Registered) -> None:
    what = "registered" if done.created else "known already"
    tracked = "yes" if done.tracked else f"not yet: {done.why_not_tracked}"
    failed = [f"{replica} ({code})" for replica, code in done.failed_on.items()]
    absent = ", ".join([*done.waiting_for, *failed])
    ready = f"not on {absent}" if absent else "yes"
    row = (done.name, str(done.version), what, done.digest[:12], ready, tracked)
    here.answer(done, table_of(["model", "version#", "", "digest", "ready", "in MLflow"], [row]))


@app.command("list")
def list_(context: typer.Context, organisation: For = None) -> None:
    """Every model that the key may call, its own first."""
    here = session(context)
    with here.hub() as hub:
        models = hub.models.list(organisation=organisation)
    rows = [
        (
            m.full_name,
            _family(m.versions),
            str(len(m.versions)),
            aliases_text(m.aliases),
            m.visibility,
        )
        for m in models
    ]
    here.answer(models, table_of(["model", "family", "versions#", "aliases", "visibility"], rows))


@app.command()
def show(context: typer.Context, name: Name, organisation: For = None) -> None:
    """One model and the card of its newest version."""
    here = session(context)
    with here.hub() as hub:
        model = hub.models.show(name, organisation=organisation)
        versions = hub.models.versions(name, organisation=organisation)
    rows = [
        ("model", model.full_name),
        ("id", model.id),
        ("visibility", model.visibility),
        ("aliases", aliases_text(model.aliases)),
        ("versions", ", ".join(str(v.version) for v in versions)),
        *((f"in pool {one['pool']}", _address(one)) for one in model.addresses),
    ]
    here.answer({"model": model, "versions": versions}, table_of(["", ""], rows))
    if versions and versions[0].card and not here.as_json:
        here.out.print()
        for line in versions[0].card.splitlines():
            here.out.print(plain(line))


@app.command()
def versions(context: typer.Context, name: Name, organisation: For = None) -> None:
    """The versions of a model, newest first."""
    here = session(context)
    with here.hub() as hub:
        found = hub.models.versions(name, organisation=organisation)
    rows = [
        (str(v.version), state(v.state), v.family, moment(v.created_unix_us), v.digest[:12])
        for v in found
    ]
    here.answer(found, table_of(["version#", "state", "family", "created (UTC)", "digest"], rows))


class _Bars:
    """A bar per file on the error stream; nothing where nobody watches."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        self._progress = Progress(
            *columns, TransferSpeedColumn(), console=console, disable=not console.is_terminal
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def sent(self, path: str, done: int, size: int) -> None:
        if path not in self._tasks:
            self._tasks[path] = self._progress.add_task(path, total=size)
        self._progress.update(self._tasks[path], completed=done)


def aliases_text(aliases: Mapping[str, int]) -> str:
    return ", ".join(f"{alias} → {version}" for alias, version in sorted(aliases.items()))


def _address(one: Mapping[str, Any]) -> str:
    port = f", gRPC port {one['grpc_port']}" if one["grpc_port"] else ""
    return f"{one['path']}{port}{'' if one['live'] else ' (no replica)'}"


def _family(versions: Sequence[Mapping[str, Any]]) -> str | None:
    return versions[-1]["manifest"]["family"] if versions else None
