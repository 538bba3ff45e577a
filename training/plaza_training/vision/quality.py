"""`python -m plaza_training.vision.quality`: how well bad pictures are told from good ones.

Good are the frames of vis-vehicle626, vis-roadcam4 and vis-opendatacam-clip as they are; bad are
the same frames damaged. Printed is how many good ones are named bad, and of each damage how many
are named at all, and by the right name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from plaza_models.vision.image import decode
from plaza_models.vision.quality import look
from plaza_training.vision.damage import DAMAGES, encoded

SETS = {
    "vis-vehicle626": "*/images/*.jpg",
    "vis-roadcam4": "*/images/*.jpg",
    "vis-opendatacam-clip": "frames/*.jpg",
}


@dataclass(frozen=True, slots=True)
class Told:
    """Of one kind of picture."""

    pictures: int
    named: int
    """Given any fault."""
    rightly: int
    """Given the right one; of good pictures 0."""


def look_at(image: bytes) -> tuple[str, ...]:
    """The faults of one picture."""
    return look(decode(image).pixels).faults


def tell(
    images: Iterable[bytes], seed: int = 7, faults_of: Callable[[bytes], Sequence[str]] = look_at
) -> dict[str, Told]:
    """`good` and every damage, as `faults_of` judges them."""
    pictures: Counter[str] = Counter()
    named: Counter[str] = Counter()
    rightly: Counter[str] = Counter()
    for number, image in enumerate(images):
        pixels = decode(image).pixels
        rng = np.random.default_rng((seed, number))
        made = {"good": ("", image)} | {
            name: (fault, encoded(how(rng, pixels))) for name, (fault, how) in DAMAGES.items()
        }
        for name, (fault, data) in made.items():
            faults = faults_of(data)
            pictures[name] += 1
            named[name] += bool(faults)
            rightly[name] += fault in faults
    return {name: Told(pictures[name], named[name], rightly[name]) for name in pictures}


def frames(root: Path, every: int) -> Iterator[bytes]:
    for name, pattern in SETS.items():
        for path in sorted((root / name).glob(pattern))[::every]:
            yield path.read_bytes()


def main(
    data: Annotated[Path, typer.Option(envvar="PLAZA_DATA")] = Path("data"),
    every: Annotated[int, typer.Option(min=1, help="Only every so many frames.")] = 1,
) -> None:
    """Print the table."""
    console = Console()
    for name, told in tell(frames(data, every)).items():
        console.print(
            f"{name:>6}: {told.pictures} pictures, {told.named} named, {told.rightly} rightly",
            highlight=False,
        )


if __name__ == "__main__":
    typer.run(main)
