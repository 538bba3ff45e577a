"""Recipe `sentence-embedder`: a static embedder that learns from all-MiniLM-L6-v2 what is alike."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from plaza_core.manifest import Limits
from plaza_core.tensors import Array
from plaza_models.text.embed import EmbedTokenOptions
from plaza_models.text.graph import INDICES, WEIGHTS
from plaza_models.text.ngrams import NgramOptions
from plaza_models.text.tokens import TokenReader
from plaza_training.data import locate
from plaza_training.data.sentences import BANKING77, CLINC150, ENGLISH_PAIRS, WORDNET
from plaza_training.recipe import Graph, Job, Metrics, Report, Story, Trained
from plaza_training.served import Served
from plaza_training.text import memory, sts
from plaza_training.text.bags import Bags
from plaza_training.text.corpus import not_measured, read_wordnet, sample
from plaza_training.text.distil import Choices, Lesson, learn, start
from plaza_training.text.neighbours import embed, score, score_served, tfidf
from plaza_training.text.network import FEATURES, WIDTHS, ServedTable
from plaza_training.text.sets import Examples, read_banking, read_clinc
from plaza_training.text.teacher import TEACHER, Teacher, Vectors, find_teacher
from plaza_training.text.vocabulary import TOKENIZER_FILE, open_reader, pieces_of, without_marks

HELD_OUT_INTENTS = 45
WORDNET_SENTENCES = 50_000
CHOICES = Choices()
OPTIONS = EmbedTokenOptions(tokenizer=TOKENIZER_FILE, width=640, max_characters=4_000)
_NGRAMS = NgramOptions(buckets=12_288, width=640, words=1, characters=(3, 4))
"""Of the baseline that has learnt nothing."""

SAMPLES = (
    "When does the number 7 tram leave the harbour?",
    "What time is the next tram from the port?",
    "I would like to pay my parking fine",
)

STORY = Story(
    title="Sentence embedder: short English texts as vectors",
    summary=(
        "Turns an English text into 256 numbers of length 1, so that texts that mean the same have "
        "a large dot product. A static embedder: each of 29,524 pieces of words has a vector in "
        "8-bit integers and a text is their weighted sum. The vectors were distilled from "
        "all-MiniLM-L6-v2 (Apache-2.0): they start from what it says of each piece and learn from "
        "what it says of whole sentences. None of the sentences measured here was among them."
    ),
    limits=(
        "Word order does not count: who bit whom is lost. English; of other scripts it knows "
        "single characters at most. Where accuracy counts more than time, a transformer such as "
        "its teacher is better by as much as the table says."
    ),
)


def sentence_embedder(job: Job) -> Trained:
    banking, clinc, pairs, wordnet = (
        locate(data, job.data_dir, progress=job.progress)
        for data in (BANKING77, CLINC150, ENGLISH_PAIRS, WORDNET)
    )
    learning, asking = (read_both(banking, clinc, split) for split in ("train", "test"))
    measured = sts.sentences(pairs) | {sts.plain(text) for text in asking.texts}
    general = sample(read_wordnet(wordnet), WORDNET_SENTENCES)
    texts = not_measured((*general, *learning.texts), measured)
    return train(texts, hold_out(learning, asking, HELD_OUT_INTENTS, job.seed), pairs, job)


def read_both(banking: Path, clinc: Path, split: str) -> Examples:
    """Labels of the two sets may coincide; their intents do not, so each is named for its set."""
    parts = {"banking": read_banking(banking, split), "clinc": read_clinc(clinc, split)}
    return Examples(
        tuple(text for part in parts.values() for text in part.texts),
        tuple(f"{name}:{label}" for name, part in parts.items() for label in part.labels),
    )


@dataclass(frozen=True, slots=True)
class Split:
    """Of intents held out: a gallery to search, and queries. Nobody's label is learnt from."""

    gallery: Examples
    queries: Examples


def hold_out(learning: Examples, asking: Examples, intents: int, seed: int) -> Split:
    """Those of `intents` intents, chosen by the seed."""
    labels = sorted(set(learning.labels))
    unseen = frozenset(
        labels[i] for i in np.random.default_rng(seed).permutation(len(labels))[:intents]
    )
    return Split(learning.only(unseen), asking.only(unseen))


def train(
    texts: Sequence[str],
    split: Split,
    pairs: Path,
    job: Job,
    choices: Choices = CHOICES,
) -> Trained:
    """Learns from `texts`; measured on `split` and on the sentence pairs in the folder `pairs`."""
    folder = find_teacher()
    teacher = Teacher(folder, fast=True)
    tokenizer, before = without_marks((folder / "tokenizer.json").read_bytes())
    with tempfile.TemporaryDirectory() as scratch:
        reader = open_reader(Path(scratch), OPTIONS, tokenizer)
    lesson = Lesson(
        pieces=pieces_of(reader, texts),
        vectors=memory.ask(teacher, texts, job.data_dir, job.progress),
        alone=memory.ask_alone(teacher, before, job.data_dir, job.progress),
    )
    table = learn(lesson, choices, job)

    def evaluate(served: Served) -> Report:
        return Report(
            split=(
                "the test pairs of SemEval STS 2013-2016 (100 × Spearman's correlation), and "
                f"{len(set(split.gallery.labels))} intents of BANKING77 and CLINC150, no label of "
                f"which was used: {len(split.queries):,} test sentences look for their like among "
                f"{len(split.gallery):,}"
            ),
            metrics={
                **sts.score_pairs(pairs, lambda some: embed(served, some)),
                **score_served(served, split.queries, split.gallery),
            },
            baselines=_baselines(lesson, choices, reader, split, pairs),
            references={
                "all-MiniLM-L6-v2, the teacher": _said_by(
                    lambda some: memory.ask(teacher, some, job.data_dir, job.progress),
                    split,
                    pairs,
                )
            },
        )

    batches = padded(reader, split.queries.texts, (32, 1, 7))
    sample = json.dumps({"texts": SAMPLES}).encode()
    return Trained(
        graph=Graph(ServedTable(torch.from_numpy(table)), batches[0], ("vectors",), FEATURES),
        family="text.embed",
        options=OPTIONS.model_dump(mode="json"),
        data=(WORDNET, BANKING77, CLINC150, TEACHER),
        licence="CC-BY-4.0",
        story=STORY,
        parameters={"sentences": len(texts), **asdict(choices)},
        parity_inputs=batches,
        evaluate=evaluate,
        files={TOKENIZER_FILE: tokenizer, "sample.json": sample},
        samples=("sample.json",),
        limits=Limits(max_batch=64),
        buckets={FEATURES: WIDTHS},
    )


def padded(
    reader: TokenReader, texts: Sequence[str], sizes: Sequence[int]
) -> list[dict[str, Array]]:
    """Graph inputs of the first texts, in batches of `sizes` rows."""
    batches: list[dict[str, Array]] = []
    first = 0
    for size in sizes:
        read = reader.read(texts[first : first + size], "end", narrow=False)
        batches.append({INDICES: read.indices, WEIGHTS: read.weights})
        first += size
    return batches


def _baselines(
    lesson: Lesson, choices: Choices, reader: TokenReader, split: Split, pairs: Path
) -> Mapping[str, Metrics]:
    table, _ = start(lesson, choices)

    def summed(texts: Sequence[str]) -> Vectors:
        rows = np.stack([table[found].sum(axis=0) for found in pieces_of(reader, texts)])
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: Vectors = rows / np.maximum(lengths, 1e-12)
        return unit

    asked, offered = (Bags(some.texts, _NGRAMS) for some in (split.queries, split.gallery))
    similar = tfidf(asked, offered, offered.rarity(_NGRAMS.buckets))
    return {
        "each piece as the teacher sees it alone (closed form)": _said_by(summed, split, pairs),
        "TF-IDF cosine of hashed n-grams": score(
            similar, split.queries.labels, split.gallery.labels
        ),
    }


def _said_by(vectors: sts.Embed, split: Split, pairs: Path) -> Metrics:
    asked, offered = vectors(split.queries.texts), vectors(split.gallery.texts)
    return {
        **sts.score_pairs(pairs, vectors),
        **score(asked @ offered.T, split.queries.labels, split.gallery.labels),
    }
