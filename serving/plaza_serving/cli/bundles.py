"""`plaza models init` and `plaza models card`: what a bundle is made of, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plaza_core.errors import PlazaError
from plaza_core.tensors import Dim
from plaza_serving.cli.models import For
from plaza_serving.cli.session import REFUSED, session
from plaza_serving.cli.show import moment, plain, table_of


def mount(app: typer.Typer) -> None:
    for command in (init, card):
        app.command()(command)


def init(
    *,
    context: typer.Context,
    model: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="An ONNX file.", metavar="MODEL")
    ],
    out: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="The bundle; default: beside a file `model.onnx`."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Default: like the file's.")] = None,
    family: Annotated[str, typer.Option(help="What the model means.")] = "tensor",
    shape: Annotated[
        list[str] | None,
        typer.Option(help="NAME=batch,3,224,224: where the graph does not say. Repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace a plaza.yaml that is there.")] = False,
) -> None:
    """Write a first plaza.yaml from a graph, a card to fill in and a sample input.

    Reads the file only; nothing of the model runs.
    """
    from plaza_registry.beginning import begin_bundle

    here = session(context)
    shapes = dict(_shape(text) for text in shape or [])
    try:
        begun = begin_bundle(model, out, name=name, family=family, shapes=shapes, force=force)
    except (PlazaError, OSError) as error:
        here.err.print(line_of(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(REFUSED) from None
    rows = [("bundle", str(begun.directory)), ("written", ", ".join(begun.written))]
    rows.append(("digest", begun.digest or "none yet"))
    shown = {name: getattr(begun, name) for name in ("written", "notes", "digest")}
    shown["directory"] = str(begun.directory)
    here.answer(shown, table_of(["", ""], rows))
    for note in begun.notes:
        here.err.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)
    if begun.digest is not None:
        command = f"plaza models register {begun.directory}"
        here.err.print(f"next: {command}", markup=False, soft_wrap=True)


def card(
    *,
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="NAME@VERSION, as in cars@3.", metavar="MODEL")],
    file: Annotated[
        Path | None, typer.Option("--set", exists=True, dir_okay=False, help="The new CARD.md.")
    ] = None,
    revisions: Annotated[bool, typer.Option(help="List what it said before.")] = False,
    revision: Annotated[int | None, typer.Option(min=1, help="Show this one.")] = None,
    organisation: For = None,
) -> None:
    """Show the card of a version, or correct it. What it said before is kept."""
    here = session(context)
    name, version = _versioned(model)
    with here.hub() as hub:
        if file is not None:
            done = hub.models.set_card(name, version, file, organisation=organisation)
            row = (model, str(done.revision), done.created_by)
            here.answer(done, table_of(["card of", "revision#", "by"], [row]))
            return
        found = hub.models.cards(name, version, organisation=organisation)
    if revisions:
        rows = [(str(c.revision), moment(c.created_unix_us), c.created_by) for c in found]
        here.answer(found, table_of(["revision#", "since (UTC)", "by"], rows))
        return
    shown = next((c for c in found if revision in {None, c.revision}), None)
    if shown is None:
        raise typer.BadParameter(f"the card has {len(found)} revisions", param_hint="--revision")
    if here.as_json:
        here.answer(shown, table_of([""], []))
        return
    for line in shown.text.splitlines():
        here.out.print(plain(line))


def _versioned(text: str) -> tuple[str, int]:
    name, _, version = text.rpartition("@")
    if not name or not version.isdecimal():
        raise typer.BadParameter("expected NAME@VERSION, as in cars@3", param_hint="MODEL")
    return name, int(version)


def _shape(text: str) -> tuple[str, list[Dim]]:
    name, sign, dims = text.rpartition("=")
    if not (name and sign and dims):
        raise typer.BadParameter("expected NAME=batch,3,224,224")
    return name, [int(dim) if dim.isdecimal() else dim for dim in dims.split(",")]


def line_of(error: PlazaError | OSError) -> str:
    if isinstance(error, PlazaError):
        return f"{error.code}: {error.input}: {error.message}" if error.input else error.message
    return f"{error.filename}: {error.strerror}"
