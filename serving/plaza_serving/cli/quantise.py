"""`plaza models quantize`: a smaller bundle of the same model, if it is still as good."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plaza_core.errors import PlazaError
from plaza_serving.cli.bundles import line_of
from plaza_serving.cli.session import REFUSED, Session, session
from plaza_serving.cli.show import table_of

if TYPE_CHECKING:
    from plaza_serving.quantising import Quantised


Directory = Annotated[
    Path, typer.Argument(exists=True, file_okay=False, help="The bundle.", metavar="DIR")
]
Output = Annotated[Path | None, typer.Option(help="The new bundle; default: DIR-int8, beside it.")]
MaxDrop = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        help="Most that may be lost: of the labels, where the model gives labels; else of the "
        "answers' mean magnitude.",
    ),
]
PerChannel = Annotated[
    bool,
    typer.Option("--per-channel", help="A scale per column: more exact, a little slower."),
]
Convolutions = Annotated[
    bool,
    typer.Option("--convolutions", help="These too: smaller, but slower in every case seen."),
]
Samples = Annotated[
    list[Path] | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="A further file like the bundle's samples to compare on. Repeatable.",
    ),
]


def mount(app: typer.Typer) -> None:
    app.command()(quantize)


def quantize(
    *,
    context: typer.Context,
    directory: Directory,
    output: Output = None,
    max_drop: MaxDrop = 0.02,
    per_channel: PerChannel = False,
    convolutions: Convolutions = False,
    samples: Samples = None,
) -> None:
    """Quantise a model to 8-bit integers and compare it with the original.

    Dynamic quantisation: no calibration data. The new bundle is written only if what is lost stays
    under the limit; else the command says what was lost and ends with 1. Nothing is sent to a hub.
    """
    from plaza_accel.quantised.quantizer import Quantizer
    from plaza_serving.quantising import Request, quantise

    here = session(context)
    out = output or directory.resolve().with_name(f"{directory.resolve().name}-int8")
    request = Request(directory, out, max_drop, per_channel, convolutions, samples or ())
    try:
        done = quantise(request, Quantizer())
    except (PlazaError, OSError) as error:
        here.err.print(line_of(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(REFUSED) from None
    _show(here, done)
    if done.digest is None:
        line = (
            f"not written: {_lost(done)} lost, and {done.max_drop:.2%} may be (--max-drop)"
            "; --per-channel is more exact"
        )
        here.err.print(line, style="red", markup=False, soft_wrap=True)
        raise typer.Exit(REFUSED)
    here.err.print(f"next: plaza models register {out}", markup=False, soft_wrap=True)


def _lost(done: Quantised) -> str:
    return f"{done.drop:.2%} of {'the labels' if done.labels else 'the mean magnitude'}"


def _show(here: Session, done: Quantised) -> None:
    compared = done.compared
    rows = [
        ("bundle", done.directory if done.digest else "none"),
        ("operators", f"{done.nodes}, with {done.share:.0%} of the weights"),
        ("model, MB", f"{done.bytes_before / 1e6:.2f} → {done.bytes_after / 1e6:.2f}"),
        ("one row, µs", f"{compared.us_before:.0f} → {compared.us_after:.0f}"),
        ("compared on", compared.inputs),
        ("mean difference", f"{compared.mean:.2%} of the mean magnitude"),
        ("largest difference", f"{compared.largest:.2%} of the largest magnitude"),
    ]
    if done.labels:
        rows.append(("same label", f"{compared.agreement:.1%} of the rows"))
    shown = {**asdict(done), "compared": compared.model_dump(), "slower": done.slower}
    here.answer(shown, table_of(["", ""], rows))
    if done.slower:
        times = compared.us_after / max(compared.us_before, 0.1)
        line = f"note: it does not pay in time: a row takes {times:.1f} times as long as before"
        here.err.print(line, style="yellow", markup=False, soft_wrap=True)
    if compared.basis != "samples":
        line = "note: compared on random tensors, which say little of its use; see --samples"
        here.err.print(line, style="yellow", markup=False, soft_wrap=True)
