"""How much faster the embedder is than its teacher, all-MiniLM-L6-v2, both on one core.

Sat by hand, on a machine that does nothing else: `make quality ONLY=embedder-speed`. Both take the
same sentences in the same batches, in turn; the figure is the median ratio of the rounds, and its
interval their spread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.quality.exam import Seat
from benchmarks.quality.figures import Figure, Figures
from plaza_training.cli import open_runners
from plaza_training.data import locate
from plaza_training.data.sentences import BANKING77
from plaza_training.progress import Silent
from plaza_training.served import serve
from plaza_training.text.neighbours import embed
from plaza_training.text.sets import read_banking
from plaza_training.text.teacher import Teacher, find_teacher

SENTENCES, ROUNDS, BATCH = 512, 9, 64
_BUNDLES = Path(__file__).parents[2] / "models" / "bundles"
TEACHER = "all-minilm-l6-v2"
"""As a bundle, where it is installed."""


def ratio(seat: Seat) -> Figures:
    folder = locate(BANKING77, seat.job.data_dir, progress=seat.job.progress)
    texts = read_banking(folder, "test").texts[:SENTENCES]
    torch.set_num_threads(1)
    ours, theirs = _bundle(seat.directory), _teacher()
    ours(texts), theirs(texts)
    rounds = [
        (_seconds(theirs, texts), _seconds(ours, texts))
        for _ in seat.job.progress.track(range(ROUNDS), "rounds", ROUNDS)
    ]
    ratios = sorted(slow / quick for slow, quick in rounds)
    per_second = SENTENCES / statistics.median(quick for _, quick in rounds)
    return {
        "times_as_fast": Figure(statistics.median(ratios), ratios[0], ratios[-1], ROUNDS),
        "sentences_per_second": Figure(per_second),
    }


def _bundle(directory: Path) -> Callable[[Sequence[str]], object]:
    served = serve(directory, open_runners("cpu"))
    return lambda texts: embed(served, texts)


def _teacher() -> Callable[[Sequence[str]], object]:
    """Its exported graph where there is one, else in torch."""
    if (_BUNDLES / TEACHER).is_dir():
        return _bundle(_BUNDLES / TEACHER)
    teacher = Teacher(find_teacher())
    return lambda texts: [
        teacher.encode(texts[first : first + BATCH], Silent())
        for first in range(0, len(texts), BATCH)
    ]


def _seconds(way: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    started = time.perf_counter()
    way(texts)
    return time.perf_counter() - started
