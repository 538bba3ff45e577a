"""How well search finds, and how fast: words, vectors and both, on citizens' cases and on titles.

By the engine that control runs and the embedder that ships, in this process:

    case       311 cases of San Francisco, 170 different texts, each asked for with one wrong letter
               in every word of more than three: the case itself is meant
    category   the same texts as they are: others of the same category are meant
    intent     banking77 and CLINC150: a test sentence of an intent, no label of which was learnt,
               meaning those of the same intent in other words, among 25,003 of all intents
    title      THUCNews: half of a Chinese title, meaning the whole among 10,000
    topic      THUCNews: a title, meaning those of the same topic

first: the best answer is one that is meant. any of 10: one of the first ten is. recall at 10: how
many of the first ten are, of as many as could be. Intervals: 95 %, bootstrap over queries.

    python -m benchmarks.search
"""

from __future__ import annotations

import csv
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from plaza_core.card import read_card
from plaza_core.settings import Settings
from plaza_models.search.index import Index
from plaza_models.search.rank import search
from plaza_models.search.segment import Document, build
from plaza_models.search.wire import from_bytes, to_bytes
from plaza_models.tasks import EmbedTask
from plaza_training.cli import open_runners
from plaza_training.served import Served, serve
from plaza_training.text.embed import HELD_OUT_INTENTS, hold_out, read_both

EMBEDDER = Path(__file__).parents[1] / "models" / "bundles" / "sentence-embedder"
SEED = 7
QUERIES = 1_000
TEN = 10
RESAMPLED = 1_000
MODES = ("words", "vectors", "both")
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Trial:
    name: str
    documents: Sequence[str]
    queries: Sequence[str]
    meant: Sequence[frozenset[int]]
    """Of each query, the places of the documents that answer it."""
    itself: bool = False
    """Query n is document n, which is no answer."""


# ── trials ───────────────────────────────────────────────────────────────────────────────────────
def trials(data: Path) -> Iterator[Trial]:
    draw = random.Random(SEED)  # noqa: S311 to be drawn again, not to be secret
    yield from _cases(data / "nlp-311-sf" / "sf311_10000.csv", draw)
    yield _intents(data, draw)
    yield from _titles(data / "nlp-thucnews-titles", draw)


def _cases(file: Path, draw: random.Random) -> Iterator[Trial]:
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    said = [f"{row['complaint_type']} {row['descriptor']}".strip() for row in rows]
    texts = {text: row["category"] for text, row in zip(said, rows, strict=True)}
    wrong = [" ".join(_mistyped(word, draw) for word in text.split()) for text in texts]
    alone = [frozenset({place}) for place in range(len(texts))]
    yield Trial("case", list(texts), wrong, alone)
    of = _by_label(list(texts.values()))
    others = [of[label] - {place} for place, label in enumerate(texts.values())]
    yield Trial("category", list(texts), list(texts), others, itself=True)


def _intents(data: Path, draw: random.Random) -> Trial:
    folders = data / "nlp-banking77", data / "nlp-clinc150"
    train, test = (read_both(*folders, split) for split in ("train", "test"))
    card = read_card((EMBEDDER / "CARD.md").read_text(encoding="utf-8")).front
    unseen = hold_out(train, test, HELD_OUT_INTENTS, card.seed or 0).queries
    of = _by_label(train.labels)
    chosen = draw.sample(range(len(unseen)), QUERIES)
    meant = [of[unseen.labels[n]] for n in chosen]
    return Trial("intent", train.texts, [unseen.texts[n] for n in chosen], meant)


def _titles(folder: Path, draw: random.Random) -> Iterator[Trial]:
    gallery, asked = (_read_titles(folder / f"{split}.txt") for split in ("dev", "test"))
    texts, labels = [text for text, _ in gallery], [label for _, label in gallery]
    chosen = draw.sample(range(len(texts)), QUERIES)
    halves = [_half(texts[n], draw) for n in chosen]
    yield Trial("title", texts, halves, [frozenset({n}) for n in chosen])
    of, some = _by_label(labels), draw.sample(asked, QUERIES)
    yield Trial("topic", texts, [text for text, _ in some], [of[label] for _, label in some])


def _read_titles(file: Path) -> list[tuple[str, str]]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [(text, label) for text, _, label in (line.rpartition("\t") for line in lines)]


def _by_label(labels: Sequence[str]) -> dict[str, frozenset[int]]:
    return {
        label: frozenset(n for n, one in enumerate(labels) if one == label) for label in set(labels)
    }


def _mistyped(word: str, draw: random.Random) -> str:
    if len(word) <= 3:
        return word
    at = draw.randrange(len(word))
    return word[:at] + draw.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1 :]


def _half(text: str, draw: random.Random) -> str:
    length = max(2, len(text) // 2)
    at = draw.randrange(len(text) - length + 1)
    return text[at : at + length]


# ── measuring ────────────────────────────────────────────────────────────────────────────────────
def vectors_of(served: Served, texts: Sequence[str]) -> Vectors:
    tasks = (EmbedTask((text,), cut="end") for text in texts)
    return np.concatenate([answer.vectors for answer in served.ask_all(tasks, joined=64)])


def measure(trial: Trial, served: Served, console: Console) -> None:
    documents = [Document(str(n), text) for n, text in enumerate(trial.documents)]
    started = time.perf_counter()
    embedded = vectors_of(served, trial.documents)
    middle = time.perf_counter()
    index = Index.of([from_bytes(to_bytes(build(documents, embedded)))])
    built = time.perf_counter()
    console.print(
        f"\n{trial.name}: {len(documents):,} documents, embedded in {middle - started:.1f} s, built"
        f" in {built - middle:.1f} s, {len(to_bytes(index.segments[0])) / 2**20:.1f} MiB stored"
    )
    asked = vectors_of(served, trial.queries)
    for mode in MODES:
        scores, took = _scores(trial, index, asked, mode)
        told = "  ".join(
            f"{name} {_interval(column)}"
            for name, column in zip(("first", "any of 10", "recall at 10"), scores.T, strict=True)
        )
        quick, slow = np.percentile(took, [50, 95])
        console.print(f"  {mode:8} {told}  {quick:.2f} ms, p95 {slow:.2f}")


def _scores(
    trial: Trial, index: Index, asked: Vectors, mode: str
) -> tuple[NDArray[np.float64], list[float]]:
    """(queries, measures), and milliseconds of each search."""
    scores, took = [], []
    for n, (query, meant) in enumerate(zip(trial.queries, trial.meant, strict=True)):
        if not meant:
            continue
        words = None if mode == "vectors" else query
        vector = None if mode == "words" else asked[n]
        started = time.perf_counter()
        hits = search(index, words, vector, TEN + 1)
        took.append((time.perf_counter() - started) * 1000)
        places = [hit.place for hit in hits if not (trial.itself and hit.place == n)][:TEN]
        right = [place in meant for place in places]
        scores.append((bool(right and right[0]), any(right), sum(right) / min(TEN, len(meant))))
    return np.array(scores, np.float64) * 100, took


def _interval(column: NDArray[np.float64]) -> str:
    draw = np.random.default_rng(SEED)
    means = [float(draw.choice(column, len(column)).mean()) for _ in range(RESAMPLED)]
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{statistics.fmean(column):.1f} % ({low:.1f}-{high:.1f})"


def main() -> None:
    data = Settings().data
    if data is None:
        raise SystemExit("PLAZA_DATA must say where the data sets are")
    console = Console(highlight=False, soft_wrap=True)
    served = serve(EMBEDDER, open_runners("cpu"))
    for trial in trials(data):
        measure(trial, served, console)


if __name__ == "__main__":
    main()
