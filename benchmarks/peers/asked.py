"""The requests: the same pictures, numbers and texts for everybody, each in its server's words."""

from __future__ import annotations

import base64
import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import encoders, graphs
from plaza_serving.doors.rpc.schema import message

BUNDLES = Path(__file__).parents[2] / "models" / "bundles"
KINDS = {
    "tiny": "tensor", "conv": "tensor", "detector": "picture", "embedder": "texts",
    "encoder": "texts", "slow": "tensor",
}  # fmt: skip
NAMES = {"detector": "road-vehicles", "embedder": "sentence-embedder"}
TEXTS = 64
_BOUNDARY = "plaza-bench"
_WORDS = """
    when does the number seven tram leave harbour pay my parking fine late again red lorry on bridge
    queue at north gate rain delays repair of lamp near school open window tax office
""".split()  # noqa: SIM905 a list of forty literals reads worse


@dataclass(frozen=True, slots=True)
class Asked:
    """What is sent, over and over, in this order; the head is the same for all."""

    path: str
    headers: dict[str, str]
    bodies: tuple[bytes, ...]

    def requests(self) -> list[bytes]:
        lines = [f"POST {self.path} HTTP/1.1", "Host: bench"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        head = "\r\n".join(lines)
        return [f"{head}\r\nContent-Length: {len(b)}\r\n\r\n".encode() + b for b in self.bodies]


def bundle(model: str, scratch: Path) -> Path:
    """The directory of a measured model's bundle."""
    if model in NAMES:
        return BUNDLES / NAMES[model]
    place = scratch / model
    if place.exists():
        return place
    if model == "encoder":
        encoder(place)
    else:
        {"tiny": graphs.tiny, "conv": graphs.conv, "slow": slow}[model]().write(place)
    return place


def encoder(place: Path) -> Path:
    """Make `place` the bundle of an encoder of MiniLM's size that reads texts by the tokeniser of
    the embedder that ships. Most texts have less than 20 pieces, and a row of 16 for one of 5 costs
    more than another run: so there are small sizes. Returns it."""
    sizes = (6, 10, 16, 24, 32, 64, 96, 128, 192, 256, 384, 512)
    encoders.write(place, "encoder", encoders.Shape(sizes=sizes))
    tokenizer = BUNDLES / NAMES["embedder"] / encoders.TOKENIZER_FILE
    shutil.copyfile(tokenizer, place / encoders.TOKENIZER_FILE)
    return place


def numbers(model: str) -> NDArray[np.float32]:
    """The tensor of a request."""
    if model == "tiny":
        return np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    made = slow() if model == "slow" else graphs.conv()
    entry = made.manifest["signature"]["inputs"][0]
    shape = (1, *(int(size) for size in entry["shape"][1:]))
    return np.random.default_rng(0).random(shape, np.float32)


def picture() -> bytes:
    return (BUNDLES / NAMES["detector"] / "samples" / "rendered-road.jpg").read_bytes()


def texts() -> list[str]:
    """Of mixed lengths: mostly a line, some a paragraph, as questions to an office are."""
    chance = random.Random(7)  # noqa: S311 no secret
    lengths = [min(180, round(chance.lognormvariate(2.4, 0.9)) + 1) for _ in range(TEXTS)]
    return [" ".join(chance.choices(_WORDS, k=length)) for length in lengths]


def to_plaza(model: str, dialect: str, key: str) -> Asked:
    bearer = {"Authorization": f"Bearer {key}"}
    if model == "detector":
        path = f"/v1/vision/detect?model={NAMES[model]}"
        return Asked(path, {**bearer, "Content-Type": "image/jpeg"}, (picture(),))
    if KINDS[model] == "texts":
        name = NAMES.get(model, model)
        bodies = [_json({"model": name, "input": text}) for text in texts()]
        return Asked("/v1/embeddings", {**bearer, "Content-Type": "application/json"}, (*bodies,))
    path = f"/v2/models/{model}/infer"
    if dialect == "json":
        return Asked(
            path, {**bearer, "Content-Type": "application/json"}, (_json(document(model)),)
        )
    head, raw = binary(model)
    length = {"Inference-Header-Content-Length": str(len(head))}
    return Asked(path, {**bearer, **length}, (head + raw,))


def to_peer(program: str, model: str, dialect: str) -> Asked:
    """For the program of that name. Raises ValueError for what it does not take."""
    path = {
        "mosec": "/inference",
        "litserve": "/predict",
        "bentoml": "/infer",
        "mlserver": "/v2/models/served/infer",
    }.get(program, "/")
    plain = {"Content-Type": "application/json"}
    if program == "mlserver" and KINDS[model] != "tensor":
        return Asked(path, plain, _as_bytes(model))
    if KINDS[model] == "texts":
        several = program == "bentoml"
        return Asked(path, plain, tuple(_json({"input": [t] if several else t}) for t in texts()))
    if dialect == "json":
        return Asked(path, plain, (_json(document(model)),))
    raw = picture() if model == "detector" else numbers(model).tobytes()
    if program == "litserve":
        media = f"multipart/form-data; boundary={_BOUNDARY}"
        return Asked(path, {"Content-Type": media}, (_form(raw),))
    return Asked(path, {"Content-Type": "application/octet-stream"}, (raw,))


def document(model: str) -> dict[str, object]:
    """The tensor in JSON of the Open Inference Protocol."""
    array = numbers(model)
    data = [round(float(value), 6) for value in array.ravel()]
    name = "x" if model == "tiny" else "image"
    tensor = {"name": name, "shape": list(array.shape), "datatype": "FP32", "data": data}
    return {"inputs": [tensor]}


def binary(model: str) -> tuple[bytes, bytes]:
    """(JSON head, raw numbers) of the protocol's extension of binary tensors."""
    array = numbers(model)
    tensor = {
        "name": "x" if model == "tiny" else "image",
        "shape": list(array.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": array.nbytes},
    }
    return _json({"inputs": [tensor]}), array.tobytes()


def call(model: str, name: str) -> bytes:
    """A `ModelInferRequest` for the model that the server calls `name`, numbers raw."""
    array = numbers(model)
    made = message("ModelInferRequest")(model_name=name)
    made.inputs.add(
        name="x" if model == "tiny" else "image", datatype="FP32", shape=list(array.shape)
    )
    made.raw_input_contents.append(array.tobytes())
    data: bytes = made.SerializeToString()
    return data


def slow() -> graphs.Graph:
    """For overload, about 10 ms on one thread: small pictures, so small bodies, and wide layers."""
    made = graphs.conv(size=16, width=128, layers=30)
    made.manifest["name"] = "slow"
    made.manifest["limits"]["latency_target_ms"] = 250
    return made


def _as_bytes(model: str) -> tuple[bytes, ...]:
    values: Sequence[str] = texts()
    content = "str"
    if model == "detector":
        values, content = [base64.b64encode(picture()).decode()], "base64"
    tensors = (
        {
            "name": "x",
            "shape": [1],
            "datatype": "BYTES",
            "parameters": {"content_type": content},
            "data": [value],
        }
        for value in values
    )
    return tuple(_json({"inputs": [tensor]}) for tensor in tensors)


def _form(raw: bytes) -> bytes:
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + raw + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
