"""`python -m plaza_training.vision.int8 BUNDLE --out DIR`: a vehicle detector in 8-bit integers.

Ranges come from frames of the training split, spread over its cameras; what is lost is measured
as the original was, on the same frames and at the same threshold, through the new graph.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Annotated, Any

import onnx
import typer
from rich.console import Console

from plaza_accel.quantised.calibrated import quantise_calibrated
from plaza_core.card import parse_card
from plaza_core.manifest import CARD_FILE, MODEL_FILE
from plaza_models.tasks import DetectTask
from plaza_models.vision.detect import open_family
from plaza_registry.bundle import Bundle, read_bundle
from plaza_registry.deriving import derived, derived_card
from plaza_training.cli import open_runners
from plaza_training.recipe import Report
from plaza_training.served import serve
from plaza_training.vision.recipe import Evaluation
from plaza_training.vision.sets import RoadData, load_road_data

FRAMES = 96
_TOLD = ("ap50_known", "ap50_unseen", "ap50_roadcam4", "count_mae_known", "count_mae_unseen")


def quantise(source: Bundle, data: RoadData, out: Path) -> Report:
    """Write the variant of `source` to `out` and say what it does. Raises Conflict when there is
    something at `out`."""
    family = open_family(source.directory, source.manifest)
    frames = data.train[:: max(1, len(data.train) // FRAMES)][:FRAMES]
    feeds = [family.prepare(DetectTask(frame.image)).tensors for frame in frames]
    content = quantise_calibrated(onnx.load(source.directory / MODEL_FILE), feeds)
    with derived(source, out, io.BytesIO(content)) as draft:
        served = serve(draft.directory, open_runners("cpu"))
        try:
            report = Evaluation(data, source.manifest.options["threshold"])(served)
        finally:
            served.runner.close()
        facts = _facts(source, report, content, len(frames))
        card = derived_card(source, facts, _text(source, report, content))
        (draft.directory / CARD_FILE).write_text(card, encoding="utf-8")
        draft.keep = True
    return report


def _facts(source: Bundle, report: Report, content: bytes, frames: int) -> dict[str, Any]:
    return {
        "split": report.split,
        "metrics": {name: float(f"{value:.5g}") for name, value in report.metrics.items()},
        "quantised": {
            "of": str(source.digest),
            "method": "static int8 (QDQ), weights per channel, ranges by minimum and maximum",
            "frames": frames,
        },
        "model": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()},
        "command": "python -m plaza_training.vision.int8 BUNDLE --data DIR --out DIR",
    }


def _before(source: Bundle) -> dict[str, float]:
    return {name: each.value for name, each in parse_card(source.card).front.metrics.items()}


def _text(source: Bundle, report: Report, content: bytes) -> str:
    before = _before(source)
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {before[name]:.4g} | {report.metrics[name]:.4g} |"
        for name in _TOLD
    )
    size = (source.directory / MODEL_FILE).stat().st_size
    return f"""# {source.manifest.name}, in 8-bit integers

The same network as the bundle `{source.digest[:12]}`, its convolutions but the last ones in 8-bit \
integers, with ranges seen on training frames. Same signature and options: register it as a next \
version of the same model. Faster only where the processor multiplies 8-bit integers (VNNI and \
the like): measure where it is to run.

| | original | this one |
|---|---:|---:|
| model, MB | {size / 1e6:.2f} | {len(content) / 1e6:.2f} |
{rows}
"""


def main(
    bundle: Path,
    out: Annotated[Path, typer.Option(help="The new bundle.")],
    data: Annotated[Path, typer.Option(envvar="PLAZA_DATA")] = Path("data"),
) -> None:
    """Quantise, measure, describe."""
    report = quantise(read_bundle(bundle), load_road_data(data), out)
    for name, value in report.metrics.items():
        Console().print(f"{name:>24}  {value:.4g}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
