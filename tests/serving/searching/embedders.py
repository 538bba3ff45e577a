"""A twin of the endpoint: the hub's own n-grams as vectors, and a book of what was asked."""

from __future__ import annotations

import numpy as np

from plaza_models.text.ngrams import NgramOptions, features
from plaza_serving.searching.embedding import Vectors

OPTIONS = NgramOptions(buckets=64, width=512)


class NgramEmbedder:
    """Texts that share n-grams are near. Charges one unit a text; refuses with `refusal`."""

    def __init__(self):
        self.asked = []
        self.refusal = None

    def embed(self, key, model, version, texts):
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((key, model, version, list(texts)))
        found = features([text[:500] for text in texts], OPTIONS)
        rows = np.zeros((len(texts), OPTIONS.buckets), np.float32)
        for row, indices, weights in zip(rows, found.indices, found.weights, strict=True):
            np.add.at(row, indices, weights)
        return Vectors(rows, charge=len(texts))

    @property
    def texts(self):
        return [text for _, _, _, texts in self.asked for text in texts]
