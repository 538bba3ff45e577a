"""`plaza models init` and `plaza models card`: what a bundle is made of, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plaza_core.errors import PlazaError
from plaza_core.tensors import Dim
from plaza_serving.cli.session import REFUSED, session
from plaza_serving.cli.show import table_of


def mount(app: typer.Typer) -> None:
    for command in (init,):
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
        here.err.print(_line(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(REFUSED) from None
    rows = [("bundle", str(begun.directory)), ("written", ", ".join(begun.written))]
    rows.append(("digest", begun.digest or "none yet"))
    shown = {"directory": str(begun.directory), "written": list(begun.written)}
    shown |= {"digest": begun.digest, "notes": list(begun.notes)}
    here.answer(shown, table_of(["", ""], rows))
    for note in begun.notes:
        here.err.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)
    if begun.digest is not None:
        command = f"plaza models register {begun.directory}"
        here.err.print(f"next: {command}", markup=False, soft_wrap=True)


def _shape(text: str) -> tuple[str, list[Dim]]:
    name, sign, dims = text.rpartition("=")
    if not (name and sign and dims):
        raise typer.BadParameter("expected NAME=batch,3,224,224")
    return name, [int(dim) if dim.isdecimal() else dim for dim in dims.split(",")]


def _line(error: PlazaError | OSError) -> str:
    if isinstance(error, PlazaError):
        return f"{error.code}: {error.input}: {error.message}" if error.input else error.message
    return f"{error.filename}: {error.strerror}"
