"""`plaza infer …`: call a model from the shell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

import plaza
from plaza_serving.cli import drawings, inputs
from plaza_serving.cli.session import session
from plaza_serving.cli.show import plain, table_of

app = typer.Typer(help="Call a model.", no_args_is_help=True)

Chosen = Annotated[
    str | None,
    typer.Option("--model", help="Default: the only one of this family that the key may call."),
]
AtVersion = Annotated[str | None, typer.Option("--version", help="A number or an alias.")]
Texts = Annotated[list[str], typer.Argument(help="One or more texts.", metavar="TEXT...")]
_File = typer.Argument(exists=True, dir_okay=False, readable=True)


@app.command()
def tensor(
    context: typer.Context,
    model: str,
    given: Annotated[
        list[str], typer.Option("--input", help="name=@file.npy, name=@file.json or name=[…]")
    ],
    output: Annotated[list[str] | None, typer.Option(help="Only these outputs.")] = None,
    version: AtVersion = None,
) -> None:
    """Raw tensors by the Open Inference Protocol. JSON takes the datatype that the model wants."""
    here = session(context)
    values = {name: inputs.array(text) for name, text in inputs.named(given).items()}
    with here.hub() as hub:
        if not all(isinstance(value, np.ndarray) for value in values.values()):
            known = hub.metadata(model, version=version).inputs
            values = {
                name: value if isinstance(value, np.ndarray) else inputs.typed(value, name, known)
                for name, value in values.items()
            }
        found = hub.infer(model, values, version=version, outputs=output or None)
    rows = [
        (name, a.dtype, "×".join(map(str, a.shape)), _glance(a))
        for name, a in found.outputs.items()
    ]
    here.answer(found, table_of(["output", "type", "shape", "values"], rows))


@app.command()
def detect(
    *,
    context: typer.Context,
    image: Annotated[Path, _File],
    model: Chosen = None,
    version: AtVersion = None,
    threshold: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            help="Write the picture with boxes here (.png or .jpg).", callback=drawings.kind
        ),
    ] = None,
) -> None:
    """Find objects in a JPEG, PNG or WebP picture."""
    here = session(context)
    picture = image.read_bytes()
    with calling(context) as hub:
        found = hub.detect(picture, model=model, version=version, threshold=threshold)
    if draw is not None:
        draw.write_bytes(drawings.detections(picture, found, draw.suffix))
    rows = [(d.label, f"{d.score:.3f}", *(f"{v:.1f}" for v in d.box)) for d in found.detections]
    here.answer(found, table_of(["label", "score#", "x1#", "y1#", "x2#", "y2#"], rows))
    if found.faults and not here.as_json:
        line = f"not to be counted on: {', '.join(found.faults)}"
        here.out.print(plain(line), style="bold red")
    origin(context, found)


@app.command()
def quality(
    *,
    context: typer.Context,
    images: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True)],
    model: Chosen = None,
    version: AtVersion = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            help="Write a picture with the faults here (.png or .jpg).", callback=drawings.kind
        ),
    ] = None,
) -> None:
    """What is wrong with pictures of one camera, in order: black, white, foggy, torn, frozen …"""
    here = session(context)
    pictures = [image.read_bytes() for image in images]
    with calling(context) as hub:
        found = hub.quality(pictures, model=model, version=version)
    if draw is not None:
        draw.write_bytes(drawings.quality(pictures, found, draw.suffix))
    rows = [
        (image.name, ", ".join(one["faults"]) or "none", drawings.reasons(one))
        for image, one in zip(images, found.pictures, strict=True)
    ]
    here.answer(found, table_of(["picture", "faults", "beyond their limits"], rows))
    origin(context, found)


@app.command()
def classify(
    context: typer.Context,
    texts: Texts,
    top: Annotated[int, typer.Option(min=1, help="Labels per text.")] = 3,
    model: Chosen = None,
    version: AtVersion = None,
) -> None:
    """The likeliest labels of texts."""
    here = session(context)
    with calling(context) as hub:
        found = hub.classify(texts, model=model, version=version, top_k=top)
    rows = [
        (_short(text), label.label, f"{label.score:.3f}")
        for text, labels in zip(texts, found.results, strict=True)
        for label in labels
    ]
    here.answer(found, table_of(["text", "label", "score#"], rows))
    origin(context, found)


@app.command()
def embed(
    context: typer.Context, texts: Texts, model: Chosen = None, version: AtVersion = None
) -> None:
    """Vectors of texts, and how alike the texts are (cosine)."""
    here = session(context)
    with calling(context) as hub:
        found = hub.embed(texts, model=model, version=version)
    alike = found.vectors @ found.vectors.T
    columns = ["", "text", *(f"{i + 1}#" for i in range(len(texts)))]
    rows = [
        (i + 1, _short(text), *(f"{value:.3f}" for value in alike[i]))
        for i, text in enumerate(texts)
    ]
    here.answer(found, table_of(columns, rows))
    origin(context, found)


@contextmanager
def calling(context: typer.Context) -> Iterator[plaza.Client]:
    """A client; a refusal of the model, or of there being several, names the option."""
    with session(context).hub() as hub:
        try:
            yield hub
        except plaza.PlazaError as error:
            if error.input == "model":
                error.input = "--model"
            raise


def origin(
    context: typer.Context,
    found: plaza.Detections
    | plaza.Quality
    | plaza.Forecast
    | plaza.Forecasts
    | plaza.Classification
    | plaza.Embeddings,
) -> None:
    """Who answered and how fast, below the table."""
    here = session(context)
    if not here.as_json:
        ms = found.timing.total_us / 1000
        line = f"{found.model} version {found.version}, {ms:.1f} ms in the hub"
        here.out.print(plain(line), style="dim")


def _glance(values: NDArray[Any]) -> str:
    return np.array2string(
        values.ravel(), threshold=8, edgeitems=3, precision=4, max_line_width=200
    )


def _short(text: str) -> str:
    return text if len(text) <= 48 else f"{text[:47]}…"
