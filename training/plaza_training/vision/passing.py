"""`python -m plaza_training.vision.passing BUNDLE`: vehicles over a line, against a count by hand.

vis-opendatacam-clip: 499 consecutive frames of a street, 30 a second. The line lies across its
three inbound lanes. By hand: on a slit-scan (that row of every frame, one below the other) each
vehicle is one blot, so that all of them are seen at once; counted are those whose foot crosses
within the clip, one of them behind a van.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from plaza_models.vision.tasks import MOST_IMAGES, Counted, CountTask, Line
from plaza_training.cli import open_runners
from plaza_training.data import locate
from plaza_training.data.registry import SETS
from plaza_training.served import Served, serve

CLIP = SETS["vis-opendatacam-clip"]
FPS = 30
LINE = Line("inbound", (110, 260), (470, 260))
BY_HAND = 24
STEPS = (1, 2, 3, 4, 6)


@dataclass(frozen=True, slots=True)
class Passed:
    """Vehicles of all kinds over `LINE`."""

    fps: float
    inbound: int
    outbound: int
    """There are none: what is counted here is wrong."""
    usable: int
    frames: int


def passed(served: Served, frames: Sequence[bytes], fps: float) -> Passed:
    """Asked for as a caller would: pieces of a sequence, each with the state of the one before."""
    answers = list(_asked(served, frames, fps))
    crossings = [crossing for answer in answers for crossing in answer.lines]
    return Passed(
        fps,
        sum(crossing.forward for crossing in crossings),
        sum(crossing.backward for crossing in crossings),
        sum(answer.usable for answer in answers),
        len(frames),
    )


def _asked(served: Served, frames: Sequence[bytes], fps: float) -> Iterator[Counted]:
    state: str | None = None
    batch = min(MOST_IMAGES, served.manifest.limits.max_batch)
    for start in range(0, len(frames), batch):
        piece = tuple(frames[start : start + batch])
        answer: Counted = served.ask(CountTask(piece, fps, (LINE,), state=state))
        state = answer.state
        yield answer


def read_clip(root: Path) -> list[bytes]:
    """Raises DataMissing, DataChanged."""
    return [path.read_bytes() for path in sorted((locate(CLIP, root) / "frames").glob("*.jpg"))]


def main(
    bundle: Path, data: Annotated[Path, typer.Option(envvar="PLAZA_DATA")] = Path("data")
) -> None:
    """Print the count at several picture rates."""
    served = serve(bundle, open_runners("cpu"))
    frames = read_clip(data)
    console = Console()
    console.print(f"by hand: {BY_HAND}", highlight=False)
    try:
        for step in STEPS:
            found = passed(served, frames[::step], FPS / step)
            console.print(
                f"{found.fps:4g} pictures/s: {found.inbound} in, {found.outbound} out,"
                f" {found.usable} of {found.frames} frames usable",
                highlight=False,
            )
    finally:
        served.runner.close()


if __name__ == "__main__":
    typer.run(main)
