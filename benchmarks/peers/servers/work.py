"""The model's side of every peer, the same in all: a value in, an answer out.

A peer's program only moves requests. What is done with them stands here: the session has one thread
(parallelism is the server's, and on two cores that is what wins), a list of values is one batch
where shapes allow, and pictures and texts go through Plaza's own families, so that no server gets a
better decoder or tokeniser than another.

    MODEL=conv BUNDLE=… DIALECT=binary PORT=… [GRPC_PORT=…] [BATCH=8] python PEER.py
"""

import os
from pathlib import Path

import numpy as np
import onnxruntime
import orjson

from plaza_core.manifest import MANIFEST_FILE, MODEL_FILE, parse_manifest
from plaza_models import tensor
from plaza_models.tasks import DetectTask, EmbedTask
from plaza_models.text import embed
from plaza_models.vision import detect

PORT = int(os.environ.get("PORT", "0"))
CORES = os.cpu_count() or 1
BINARY = os.environ.get("DIALECT") == "binary"
BATCH = int(os.environ.get("BATCH", "1"))
"""Most requests in one batch, for servers that join them."""


class Model:
    """One opened bundle."""

    def __init__(self):
        place = Path(os.environ["BUNDLE"])
        self.manifest = parse_manifest((place / MANIFEST_FILE).read_bytes())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(place / MODEL_FILE), options, providers=["CPUExecutionProvider"]
        )
        self.input = self.session.get_inputs()[0].name
        self.shape = [1, *self.session.get_inputs()[0].shape[1:]]
        self.outputs = [one.name for one in self.session.get_outputs()]
        kinds = {"vision.detect": detect, "text.embed": embed}
        self.family = kinds.get(self.manifest.family, tensor).open_family(place, self.manifest)

    def read(self, body):
        """A value of a body: raw numbers, a picture, or the JSON that Plaza's door takes."""
        if self.manifest.family == "vision.detect":
            return body
        if BINARY:
            return np.frombuffer(body, np.float32).reshape(self.shape)
        return self.of(orjson.loads(body))

    def of(self, document):
        """A value of a JSON document that somebody else has read."""
        if self.manifest.family == "text.embed":
            return document["input"]
        given = document["inputs"][0]
        return np.array(given["data"], np.float32).reshape(given["shape"])

    def __call__(self, values):
        """One answer, ready for JSON, for each value; all in one run."""
        if self.manifest.family == "tensor":
            return self._tensors(values)
        if self.manifest.family == "text.embed":
            return self._texts(values)
        prepared = [self.family.prepare(DetectTask(value)) for value in values]
        names = prepared[0].tensors
        feeds = {name: _joined([one.tensors[name] for one in prepared]) for name in names}
        results = dict(zip(self.outputs, self.session.run(None, feeds), strict=True))
        answers, at = [], 0
        for one in prepared:
            own = {name: array[at : at + one.rows] for name, array in results.items()}
            answers.append(_plain(self.family.interpret(own, one.context)))
            at += one.rows
        return answers

    def _tensors(self, values):
        result = self.session.run(None, {self.input: _joined(values)})[0]
        answers, at = [], 0
        for value in values:
            own = result[at : at + len(value)]
            tensor = {"name": self.outputs[0], "datatype": "FP32", "shape": list(own.shape)}
            answers.append({"outputs": [{**tensor, "data": own.ravel().tolist()}]})
            at += len(value)
        return answers

    def vectors(self, texts):
        """All texts in one run, each padded to the longest of them."""
        prepared = self.family.prepare(EmbedTask(tuple(texts)))
        results = self.session.run(None, dict(prepared.tensors))
        outputs = dict(zip(self.outputs, results, strict=True))
        return self.family.interpret(outputs, prepared.context).vectors

    def _texts(self, values):
        lists = [value if isinstance(value, list) else [value] for value in values]
        vectors = self.vectors([text for texts in lists for text in texts]).tolist()
        answers, at = [], 0
        for texts in lists:
            own = vectors[at : at + len(texts)]
            answers.append({"data": [{"embedding": row} for row in own]})
            at += len(texts)
        return answers


def _joined(arrays):
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _plain(answer):
    found = [{"label": d.label, "score": d.score, "box": d.box} for d in answer.detections]
    return {"width": answer.width, "height": answer.height, "detections": found}
