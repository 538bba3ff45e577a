"""Exams of text models: classifiers with and without rejection, and embedders on sentence pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.asking import Remembered
from benchmarks.quality.exam import Seat
from benchmarks.quality.figures import Figures, figures
from plaza_models.tasks import ClassifyTask
from plaza_training.cases import Cases, Rows, mean_of
from plaza_training.data import DataSet, locate
from plaza_training.data.sentences import BANKING77, CLINC150, ENGLISH_PAIRS, THUCNEWS
from plaza_training.served import Served
from plaza_training.text import scope, scoring, sts
from plaza_training.text.neighbours import embed
from plaza_training.text.rejecting import OUTSIDE
from plaza_training.text.sets import Examples, read_banking, read_clinc
from plaza_training.text.titles import read_titles

Read = Callable[..., Examples]
SETS: Mapping[str, tuple[DataSet, Read]] = {
    "banking77": (BANKING77, read_banking),
    "titles": (THUCNEWS, read_titles),
}


def labels(seat: Seat) -> Figures:
    """The published test part of `exam.arguments`' set."""
    data, read = SETS[seat.exam.arguments["set"]]
    asking = read(locate(data, seat.job.data_dir, progress=seat.job.progress), "test")
    served = Remembered(seat.served)
    metrics = scoring.score(served, asking)
    hit = _tops(served, asking.texts, 3) == np.array(asking.labels)
    return figures(metrics, {"accuracy_percent": _percent(hit)})


def rejection(seat: Seat) -> Figures:
    """CLINC150: requests of its intents, and requests of none."""
    folder = locate(CLINC150, seat.job.data_dir, progress=seat.job.progress)
    inside, outside = (read_clinc(folder, part) for part in ("test", "oos_test"))
    served = Remembered(seat.served)
    metrics = scope.score(served, inside, outside)
    right = _tops(served, inside.texts, 2) == np.array(inside.labels)
    refused = _tops(served, outside.texts, 2) == OUTSIDE
    return figures(
        metrics,
        {"in_scope_percent": _percent(right), "out_of_scope_recall_percent": _percent(refused)},
    )


def pairs(seat: Seat) -> Figures:
    """SemEval's sentence pairs of four years."""
    folder = locate(ENGLISH_PAIRS, seat.job.data_dir, progress=seat.job.progress)
    known: dict[str, sts.Vectors] = {}

    def vectors(texts: Sequence[str]) -> sts.Vectors:
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        if fresh:
            known.update(zip(fresh, embed(seat.served, fresh), strict=True))
        return np.stack([known[text] for text in texts])

    metrics = sts.score_pairs(folder, vectors)
    years = [_year(folder, year, vectors) for year in sts.YEARS]
    cases = {f"sts{year[2:]}": one for year, one in zip(sts.YEARS, years, strict=True)}
    return figures(metrics, {**cases, "sts_mean": _mean(years)})


def _year(folder: Path, year: str, vectors: sts.Embed) -> Cases:
    said = sts.read_pairs(folder, year)
    cosines = (vectors(said.first) * vectors(said.second)).sum(axis=1)
    return Cases(
        len(said.scores), lambda rows: 100 * sts.spearman(cosines[rows], said.scores[rows])
    )


def _mean(years: Sequence[Cases]) -> Cases:
    """Over the years, all their pairs drawn together."""
    ends = np.cumsum([year.count for year in years])

    def value(rows: Rows) -> float:
        of = np.searchsorted(ends, rows, side="right")
        return float(
            np.mean(
                [
                    year.value(rows[of == at] - (ends[at] - year.count))
                    for at, year in enumerate(years)
                ]
            )
        )

    return Cases(int(ends[-1]), value)


def _tops(served: Served, texts: Sequence[str], top_k: int) -> NDArray[np.str_]:
    """The likeliest label of each, as the score asked for it."""
    answers = served.ask_all((ClassifyTask((text,), top_k=top_k) for text in texts), joined=64)
    return np.array([answer.results[0][0].label for answer in answers])


def _percent(right: NDArray[np.bool_]) -> Cases:
    return mean_of(right.astype(np.float64), lambda share: 100 * share)
