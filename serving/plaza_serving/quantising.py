"""`plaza models quantize`: from a bundle to a smaller one, if that is still as good.

bundle ─▶ quantised in a sandboxed child ─▶ compared in another ─▶ limit ─▶ bundle with a card
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from plaza_accel.quantised.quantizer import Compared, Made, Quantizer, new_file
from plaza_core.errors import InvalidInput
from plaza_core.manifest import CARD_FILE, MODEL_FILE
from plaza_models import tasks
from plaza_registry.bundle import Bundle, read_bundle
from plaza_registry.deriving import derived, derived_card
from plaza_registry.graph import read_outline

MAX_DROP: Final = 0.02
_LEAST_SHARE: Final = 0.1
"""Part of the bytes of the weights: below it the file hardly shrinks and a run is no faster."""
_TASKS: Final = {
    "text.classify": tasks.ClassifyTask,
    "text.embed": tasks.EmbedTask,
    "forecast.quantile": tasks.ForecastTask,
    "vision.detect": tasks.DetectTask,
}
_LABELS: Final = ".classify"
"""Families that end so answer with a label: what counts is whether it is the same one."""


@dataclass(frozen=True, slots=True)
class Request:
    """`max_drop` is the most that may be lost (0 to 1): of the labels, where the family answers
    with labels, else of the answers' mean magnitude."""

    directory: Path
    out: Path
    max_drop: float = MAX_DROP
    per_channel: bool = False
    convolutions: bool = False
    samples: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Quantised:
    """What was lost and gained. `digest` is None where nothing was written: too much was lost."""

    directory: str
    digest: str | None
    of: str
    nodes: int
    share: float
    bytes_before: int
    bytes_after: int
    drop: float
    max_drop: float
    labels: bool
    """Whether `drop` is of labels; else of the answers' mean magnitude."""
    compared: Compared

    @property
    def slower(self) -> bool:
        return self.compared.us_after >= self.compared.us_before


def quantise(request: Request, quantizer: Quantizer) -> Quantised:
    """Raises InvalidInput where no operator gains; InvalidBundle, Conflict, SandboxUnavailable."""
    source = read_bundle(request.directory)
    with new_file() as model:
        made = quantizer.quantise(
            request.directory,
            model,
            per_channel=request.per_channel,
            convolutions=request.convolutions,
        )
        if made.share < _LEAST_SHARE:
            raise InvalidInput(_nothing(made, request), input=MODEL_FILE)
        with derived(source, request.out, model) as draft:
            compared = quantizer.compare(
                request.directory,
                draft.directory,
                source.manifest,
                samples=request.samples,
                task=_task(source.manifest.family),
            )
            result = _result(request, source, made, compared, _model_bytes(draft.directory))
            card = derived_card(source, _facts(result), _text(source, result))
            (draft.directory / CARD_FILE).write_text(card, encoding="utf-8")
            digest = str(read_bundle(draft.directory).digest)
            draft.keep = result.drop <= request.max_drop
    return replace(result, digest=digest) if draft.keep else result


def _task(family: str) -> dict[str, str] | None:
    """What the family's `prepare` takes, by name: the sandboxed child makes it of each sample."""
    kind = _TASKS.get(family)
    return None if kind is None else {"module": kind.__module__, "kind": kind.__name__}


def _result(
    request: Request, source: Bundle, made: Made, compared: Compared, after: int
) -> Quantised:
    labels = source.manifest.family.endswith(_LABELS)
    return Quantised(
        directory=str(request.out),
        digest=None,
        of=str(source.digest),
        nodes=made.nodes,
        share=made.share,
        bytes_before=_model_bytes(source.directory),
        bytes_after=after,
        drop=1 - compared.agreement if labels else compared.mean,
        max_drop=request.max_drop,
        labels=labels,
        compared=compared,
    )


def _model_bytes(directory: Path) -> int:
    """Of the model file and of those that hold its weights."""
    names = (MODEL_FILE, *read_outline(directory / MODEL_FILE).external)
    return sum((directory / name).stat().st_size for name in names)


def _nothing(made: Made, request: Request) -> str:
    rest = (
        ""
        if request.convolutions
        else (
            "; convolutions are left alone, because with int8 made in each run they are slower"
            " (--convolutions changes them all the same)"
        )
    )
    return (
        f"{made.share:.0%} of its weights are in operators that gain from int8 (products with"
        f" matrices of 32-bit floats, embedding tables), so nothing was written{rest}"
    )


def _facts(result: Quantised) -> dict[str, object]:
    """For the front matter: what was measured of this bundle."""
    compared = result.compared
    split = f"{compared.inputs}, against the original"
    metrics = {"mean_difference": compared.mean, "largest_difference": compared.largest}
    if result.labels:
        metrics["same_label"] = compared.agreement
    return {
        "metrics": {name: {"value": value, "split": split} for name, value in metrics.items()},
        "quantised": {
            "of": result.of,
            "method": "dynamic int8",
            "operators": result.nodes,
            "share_of_weights": round(result.share, 4),
            "model_bytes": [result.bytes_before, result.bytes_after],
            "microseconds_of_one_row": [round(compared.us_before, 1), round(compared.us_after, 1)],
        },
    }


def _text(source: Bundle, result: Quantised) -> str:
    compared = result.compared
    labels = f", the same label in {compared.agreement:.1%}" if result.labels else ""
    return f"""# {source.manifest.name}, in 8-bit integers

Made of the bundle `{result.of[:12]}` by dynamic quantisation: {result.nodes} operators, \
{result.share:.0%} of the bytes of its weights.

| | original | this one |
|---|---|---|
| model, MB | {result.bytes_before / 1e6:.2f} | {result.bytes_after / 1e6:.2f} |
| one row, µs, one thread | {compared.us_before:.0f} | {compared.us_after:.0f} |

Against the original on {compared.inputs}: mean difference {compared.mean:.2%} of the mean \
magnitude, largest {compared.largest:.2%} of the largest{labels}. Its accuracy on the task was not \
measured.
"""
