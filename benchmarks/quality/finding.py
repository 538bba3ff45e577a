"""The exam of search: the trials of `benchmarks.search`, through the hub's own indexes."""

from __future__ import annotations

import numpy as np

import plaza
from benchmarks.quality.exam import Seat
from benchmarks.quality.figures import Figures, figures
from benchmarks.search import TEN, Trial, trials
from plaza_training.cases import Cases, mean_of

WORDS_ALONE = frozenset(("title", "topic"))
"""In a language that the embedder does not read."""


def found(seat: Seat) -> Figures:
    """`first` and `recall` of each trial; by words and meaning together where the embedder reads
    the language, by words alone elsewhere."""
    if seat.hub is None:
        raise ValueError("only a hub has indexes")
    cases: dict[str, Cases] = {}
    for trial in trials(seat.job.data_dir):
        columns = np.array(_scores(trial, seat, seat.hub)) * 100
        cases[f"{trial.name}_first_percent"] = mean_of(columns[:, 0])
        cases[f"{trial.name}_recall_percent"] = mean_of(columns[:, 1])
    return figures({name: one.whole() for name, one in cases.items()}, cases)


def _scores(trial: Trial, seat: Seat, hub: plaza.Client) -> list[tuple[float, float]]:
    model = None if trial.name in WORDS_ALONE else seat.exam.model
    hub.indexes.create(trial.name, model=model)
    texts = seat.job.progress.track(
        enumerate(trial.documents), f"{trial.name}: documents", len(trial.documents)
    )
    hub.indexes.put(trial.name, (plaza.Document(str(n), text) for n, text in texts))
    rows = []
    asked = list(enumerate(zip(trial.queries, trial.meant, strict=True)))
    for n, (query, meant) in seat.job.progress.track(asked, trial.name, len(asked)):
        if not meant:
            continue
        hits = hub.indexes.search(trial.name, query, limit=TEN + 1).items
        places = [int(hit.id) for hit in hits]
        places = [place for place in places if not (trial.itself and place == n)][:TEN]
        right = [place in meant for place in places]
        rows.append((float(any(right[:1])), sum(right) / min(TEN, len(meant))))
    hub.indexes.drop(trial.name)
    return rows
