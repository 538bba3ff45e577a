"""Recipe `all-minilm-l6-v2`: the encoder of the package, as a bundle. Nothing is learnt here.

It is for hubs whose engineers install the package; its weights do not ship with this project.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from plaza_core.manifest import Limits
from plaza_core.tensors import Array
from plaza_models.text.embed import EmbedEncoderOptions
from plaza_models.text.encoder import filled
from plaza_training.data import locate
from plaza_training.data.sentences import ENGLISH_PAIRS
from plaza_training.recipe import Graph, Job, Metrics, Report, Story, Trained
from plaza_training.served import Served
from plaza_training.text import sts
from plaza_training.text.encoder import Encoder, read_weights
from plaza_training.text.neighbours import embed
from plaza_training.text.teacher import HEADS, LICENCE, TEACHER, Vectors, find_teacher
from plaza_training.text.vocabulary import TOKENIZER_FILE, open_reader

OPTIONS = EmbedEncoderOptions(
    tokenizer=TOKENIZER_FILE, pooling="none", width=256, max_characters=20_000
)
AXIS = "tokens"
SIZES = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""What a text is padded to: work grows with it, so steps are finer than those of a table."""
_AT_ONCE = 64

SAMPLES = (
    "When does the number 7 tram leave the harbour?",
    "What time is the next tram from the port?",
    "I would like to pay my parking fine",
)
STORY = Story(
    title="all-MiniLM-L6-v2: English sentences as vectors, by attention",
    summary=(
        "Turns an English text into 384 numbers of length 1, so that texts that mean the same have "
        "a large dot product: six layers of attention over at most 256 pieces, and the mean of "
        "their states. The published weights, exported unchanged in 32 bits."
    ),
    limits=(
        "Milliseconds a text on one thread, where the static embedder takes microseconds. English. "
        "What a text has beyond 254 pieces is not read."
    ),
)
PUBLISHED: Mapping[str, Metrics] = {
    "published weights (MTEB)": {"sts13": 80.6, "sts14": 75.59, "sts15": 85.39, "sts16": 78.99}
}


def all_minilm_l6_v2(job: Job) -> Trained:
    folder = find_teacher()
    pairs = locate(ENGLISH_PAIRS, job.data_dir, progress=job.progress)
    encoder = Encoder(read_weights(folder / "model.safetensors"), HEADS)
    return wrapped(encoder, (folder / "tokenizer.json").read_bytes(), pairs)


def wrapped(encoder: Encoder, tokenizer: bytes, pairs: Path) -> Trained:
    """`encoder` with its tokeniser's file, measured on the sentence pairs in the folder `pairs`."""
    with tempfile.TemporaryDirectory() as scratch:
        reader = open_reader(Path(scratch), OPTIONS, tokenizer, marks=True)
    batches = [tensors(reader.rows(SAMPLES[:count], "end")) for count in (3, 2, 1)]

    def evaluate(served: Served) -> Report:
        return Report(
            split="the test pairs of SemEval STS 2013-2016 (100 × Spearman's correlation)",
            metrics=sts.score_pairs(pairs, lambda texts: embed(served, texts)),
            baselines={
                "mean of its pieces' own vectors, without a layer": sts.score_pairs(
                    pairs, lambda texts: _alone(encoder, reader.rows(texts, "end"))
                )
            },
            references=PUBLISHED,
        )

    return Trained(
        graph=Graph(encoder, batches[0], ("sentence_embedding",), AXIS),
        family="text.embed",
        options=OPTIONS.model_dump(mode="json"),
        data=(TEACHER,),
        licence=LICENCE,
        story=STORY,
        parameters={},
        parity_inputs=batches,
        evaluate=evaluate,
        files={TOKENIZER_FILE: tokenizer, "sample.json": json.dumps({"texts": SAMPLES}).encode()},
        samples=("sample.json",),
        limits=Limits(max_batch=32),
        buckets={AXIS: SIZES},
    )


def tensors(rows: Sequence[Sequence[int]]) -> dict[str, Array]:
    """As the encoder takes them, in the order of its arguments."""
    return dict(zip((OPTIONS.ids, OPTIONS.mask), filled(rows, max(map(len, rows))), strict=True))


def _alone(encoder: Encoder, rows: Sequence[Sequence[int]]) -> Vectors:
    found = []
    for first in range(0, len(rows), _AT_ONCE):
        part = tensors(rows[first : first + _AT_ONCE]).values()
        found.append(functional.normalize(encoder.alone(*map(torch.from_numpy, part))).numpy())
    return np.concatenate(found)
