"""`plaza data list|fetch|verify`: the registered sets, and whether they are here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from plaza_core.errors import PlazaError
from plaza_training.data.dataset import DataSet
from plaza_training.data.locating import locate, verify
from plaza_training.data.registry import SETS, find
from plaza_training.progress import RichProgress

app = typer.Typer(
    name="data",
    help="Public data sets for training: what there is, fetch it, verify it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
DataDir = Annotated[
    Path, typer.Option("--data", envvar="PLAZA_DATA", help="Directory with the data sets.")
]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="Default: all.")]
_HERE = Path("data")


@app.command("list")
def list_sets(
    data: DataDir = _HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """What is registered: family, size, licence, whether it may shape weights that ship."""
    entries = [_described(dataset, data) for dataset in SETS.values()]
    console = Console(highlight=False)
    if as_json:
        console.print(json.dumps(entries, indent=1), markup=False, soft_wrap=True)
        return
    table = Table(
        Column("name", no_wrap=True), "family", "MB", "files", "licence", "may ship", "here"
    )
    for entry in entries:
        cells = (entry[key] for key in ("name", "family", "megabytes", "files", "licence"))
        marks = ("yes" if entry[key] else "no" for key in ("may_ship", "here"))
        table.add_row(*map(str, cells), *marks)
    console.print(table)


@app.command()
def fetch(names: Names = None, data: DataDir = _HERE) -> None:
    """Download what is missing, resuming what broke off, and verify every file."""
    console = Console(highlight=False)
    failed = False
    with RichProgress(console) as progress:
        for name in names or SETS:
            try:
                dataset = find(name)
                locate(dataset, data, progress=progress)
                progress.note(f"{name}: {len(dataset.files)} files, all as published")
            except PlazaError as error:
                failed = True
                console.print(_line(error), style="red", markup=False, soft_wrap=True)
    raise typer.Exit(int(failed))


@app.command("verify")
def verify_sets(names: Names = None, data: DataDir = _HERE) -> None:
    """Compare every file with its published checksum; download nothing."""
    console = Console(highlight=False)
    failed = False
    try:
        chosen = [find(name) for name in names or SETS]
    except PlazaError as error:
        console.print(_line(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    for dataset in chosen:
        problems = verify(dataset, data)
        failed = failed or bool(problems)
        for line in _shortened(problems):
            console.print(line, style="red", markup=False, soft_wrap=True)
        if not problems:
            console.print(f"{dataset.name}: {len(dataset.files)} files, all as published")
    raise typer.Exit(int(failed))


def _described(dataset: DataSet, data: Path) -> dict[str, Any]:
    folder = data / dataset.name
    return {
        "name": dataset.name,
        "title": dataset.title,
        "family": dataset.family,
        "licence": dataset.licence,
        "may_ship": dataset.may_ship,
        "source": dataset.source,
        "files": len(dataset.files),
        "megabytes": round(dataset.bytes / 1e6, 1),
        "downloadable": all(file.url for file in dataset.files),
        "here": all((folder / file.path).is_file() for file in dataset.files),
        "protocol": dataset.protocol,
        "splits": {split.name: split.count for split in dataset.splits},
    }


def _shortened(problems: Sequence[str], most: int = 5) -> list[str]:
    rest = len(problems) - most
    return [*problems[:most], *([f"… and {rest} more"] if rest > 0 else [])]


def _line(error: PlazaError) -> str:
    return f"{error.code}: {error.message}"


def main() -> None:
    app()
