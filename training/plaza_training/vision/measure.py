"""`python -m plaza_training.vision.measure BUNDLE`: a road-vehicle detector against the bars.

Protocol. Any bundle of `vision.detect` is asked as it is served, with all its labels that are
vehicles pooled into one class.

- known: published validation frames of vehicle626 whose videos are in training. unseen: every frame
  of the videos held out (`sets.HELD_OUT_VIDEOS`). roadcam4: its validation and test frames.
- AP50 by all-point interpolation over detections of score 0.02 and more.
- Counting error: mean absolute error of the number of vehicles per frame. The threshold for unseen
  and roadcam4 is the best one on known; known itself is halved, each half counted with the
  threshold of the other.
- Intervals: 95 %, percentile bootstrap over frames. Frames of one video resemble one another, so
  that for a camera of one's own they are too narrow; the single videos show the spread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from plaza_core.manifest import MANIFEST_FILE, parse_manifest
from plaza_models.tasks import Detections, DetectTask
from plaza_models.vision.detect import open_family
from plaza_training.cases import Cases, interval
from plaza_training.cli import open_runners
from plaza_training.served import Opened, Served
from plaza_training.vision.judge import LOWEST, crossed_count_error
from plaza_training.vision.metrics import (
    Judged,
    average_precision,
    count_error,
    counting_threshold,
    matched,
    precision_area,
)
from plaza_training.vision.sets import Frame, load_road_data

VEHICLES = frozenset(("vehicle", "car", "bus", "truck", "van"))
T = TypeVar("T")
Metric = Callable[[Sequence[Judged]], float]


@dataclass(frozen=True, slots=True)
class Measured:
    name: str
    frames: int
    value: float
    low: float
    high: float
    bar: float | None
    at_least: bool = True

    @property
    def reached(self) -> bool | None:
        """None where there is no bar."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def bootstrap(
    judged: Sequence[T], metric: Callable[[Sequence[T]], float], *, seed: int = 7, draws: int = 200
) -> tuple[float, float]:
    """The 95 % percentile interval over frames drawn with replacement."""
    cases = Cases(len(judged), lambda rows: metric([judged[row] for row in rows]))
    return interval(cases, seed=seed, draws=draws)


def ask(
    served: Served, frames: Sequence[Frame], labels: Collection[str] = VEHICLES
) -> list[Judged]:
    """What has one of these labels, as one class; boxes in pixels of the frame."""
    judged = []
    for frame in frames:
        found: Detections = served.ask(DetectTask(frame.image, threshold=LOWEST))
        kept = [d for d in found.detections if d.label in labels]
        judged.append(
            Judged(
                np.array([d.box for d in kept], np.float32).reshape(-1, 4),
                np.array([d.score for d in kept], np.float32),
                frame.boxes * np.array([found.width, found.height] * 2, np.float32),
            )
        )
    return judged


def measure(served: Served, root: Path) -> tuple[float, list[Measured]]:
    """The counting threshold, and every figure."""
    data = load_road_data(root)
    known, unseen, other = (ask(served, part) for part in (data.known, data.unseen, data.other))
    threshold = counting_threshold(known)

    def counting(judged: Sequence[Judged]) -> float:
        return count_error(judged, threshold)

    rows = [
        _row("AP50 known", known, average_precision, 0.85),
        _row("AP50 unseen", unseen, average_precision, 0.60),
        _row("AP50 roadcam4", other, average_precision, None),
        _row("count error known", known, crossed_count_error, 2.5, at_least=False),
        _row("count error unseen", unseen, counting, 2.5, at_least=False),
        _row("count error roadcam4", other, counting, None, at_least=False),
    ]
    for camera in sorted({frame.camera for frame in data.unseen}):
        mine = [j for f, j in zip(data.unseen, unseen, strict=True) if f.camera == camera]
        rows.append(_row(f"AP50 {camera}", mine, average_precision, None))
    return threshold, rows


def _row(
    name: str, judged: Sequence[Judged], metric: Metric, bar: float | None, *, at_least: bool = True
) -> Measured:
    if metric is average_precision:
        low, high = bootstrap([matched(picture) for picture in judged], precision_area)
    else:
        low, high = bootstrap(judged, metric)
    return Measured(name, len(judged), metric(judged), low, high, bar, at_least)


def main(
    bundle: Path,
    data: Annotated[Path, typer.Option(envvar="PLAZA_DATA")] = Path("data"),
    out: Annotated[Path | None, typer.Option(help="Also write the figures here, as JSON.")] = None,
    runner: Annotated[str, typer.Option(help="Accelerator plug-in.")] = "cpu",
) -> None:
    """Print the table; exit with 1 when a bar is missed."""
    manifest = parse_manifest((bundle / MANIFEST_FILE).read_bytes())
    opened = open_runners(runner).open(bundle, manifest)
    try:
        threshold, rows = measure(Opened(manifest, open_family(bundle, manifest), opened), data)
    finally:
        opened.close()
    table = Table("figure", "frames", "value", "95 %", "bar", title=f"threshold {threshold}")
    for row in rows:
        bar = "–" if row.bar is None else f"{row.bar} {'reached' if row.reached else 'MISSED'}"
        interval = f"{row.low:.3f} … {row.high:.3f}"
        table.add_row(row.name, str(row.frames), f"{row.value:.3f}", interval, bar)
    Console().print(table)
    if out is not None:
        document = {"threshold": threshold, "figures": [asdict(row) for row in rows]}
        out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if any(row.reached is False for row in rows):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
