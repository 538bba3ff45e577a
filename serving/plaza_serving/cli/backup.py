"""`plaza backup` and `plaza restore`: work on this machine's state directory, without the hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from plaza_core.clock import SystemClock
from plaza_core.errors import Conflict, PlazaError
from plaza_core.settings import Settings
from plaza_serving.cli.session import REFUSED, Session, read_settings, session
from plaza_serving.cli.show import table_of

File = Annotated[Path, typer.Argument(dir_okay=False, metavar="FILE")]


def mount(app: typer.Typer) -> None:
    for command in (backup, restore):
        app.command()(command)


def backup(context: typer.Context, file: File) -> None:
    """Copy database, bundles, secrets and unshipped usage into one file; the hub may run.

    Whoever has the file has the hub: keep it as you keep the keys.
    """
    from plaza_serving import backup as archive

    here = session(context)
    try:
        packed = archive.backup(read_settings(), file, SystemClock())
    except (PlazaError, OSError) as error:
        raise _refused(here, error) from None
    _show(here, "written", file, packed)


def restore(
    context: typer.Context,
    file: File,
    force: Annotated[
        bool, typer.Option(help="Over a hub that is there; its state is put aside.")
    ] = False,
) -> None:
    """Make this state directory what a backup says, after checking every byte of it."""
    from plaza_serving import backup as archive
    from plaza_serving.control.main import only_one

    here, settings = session(context), read_settings()
    try:
        _demand_stopped(settings)
        with only_one(settings.state_dir):
            packed = archive.restore(settings, file, os.urandom, force=force)
    except (PlazaError, OSError) as error:
        raise _refused(here, error) from None
    _show(here, "restored", file, packed)


def _demand_stopped(settings: Settings) -> None:
    from plaza_serving.supervisor.places import Places
    from plaza_serving.supervisor.single import holder

    if holder(Places.of(settings).run) is not None:
        raise Conflict("this hub is running; stop it first: plaza down")


def _show(here: Session, what: str, file: Path, packed: object) -> None:
    from plaza_serving.backup import Packed

    assert isinstance(packed, Packed)
    row = (str(file), packed.files, packed.size)
    here.answer(packed, table_of([what, "files#", "bytes#"], [row]))
    if packed.damaged:
        names = ", ".join(digest[:12] for digest in packed.damaged)
        here.err.print(f"not whole in this hub, left out: {names}", style="red", markup=False)
        raise typer.Exit(REFUSED)


def _refused(here: Session, error: PlazaError | OSError) -> typer.Exit:
    if isinstance(error, PlazaError):
        line = f"{error.code}: {error.message}"
    else:
        line = error.strerror or "the file cannot be used"
    here.err.print(line, style="red", markup=False, soft_wrap=True)
    return typer.Exit(REFUSED)
