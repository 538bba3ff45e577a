"""Verbs of the inference port: raw tensors and the task endpoints. A task that is told no model
means the only one of its family that the key may call; the hub says which, or refuses."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from plaza import _tensors
from plaza._http import JSON_TYPE, Answer, Call, json_body, path_of
from plaza.answers import (
    Classification,
    Cost,
    Detection,
    Detections,
    Embeddings,
    Forecast,
    Forecasts,
    Inference,
    Label,
    Metadata,
    Tensor,
    Timing,
)

T = TypeVar("T")
Values = Sequence[float | None]
"""One series, oldest first; None or NaN for what was not measured."""
Version = int | str | None
"""A number, an alias, or None for the model's default."""

_PICTURES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"))


def infer(
    model: str,
    inputs: Mapping[str, ArrayLike],
    *,
    version: Version = None,
    outputs: Iterable[str] | None = None,
) -> Call[Inference]:
    """Run `model` on named tensors; `outputs` None returns all of its outputs.

    Arrays travel as they are: a list of Python floats becomes FP64, so give arrays of the
    datatype that `metadata` names. Strings become BYTES.
    """
    headers, body = _tensors.encode(inputs, outputs)

    def read(answer: Answer) -> Inference:
        document, tensors = _tensors.decode(answer)
        answered_by = document["model_name"], int(document["model_version"])
        return Inference(*answered_by, tensors, _cost(answer))

    path = _model_path(model, version) + "/infer"
    return Call("inference", "POST", path, read, headers=headers, content=body)


def metadata(model: str, *, version: Version = None) -> Call[Metadata]:
    """What the model takes and gives."""

    def read(answer: Answer) -> Metadata:
        found = answer.json()
        return Metadata(
            found["name"],
            tuple(found.get("versions", ())),
            tuple(map(_tensor, found["inputs"])),
            tuple(map(_tensor, found["outputs"])),
        )

    return Call("inference", "GET", _model_path(model, version), read)


def detect(
    image: bytes,
    *,
    model: str | None = None,
    version: Version = None,
    threshold: float | None = None,
) -> Call[Detections]:
    """Find objects in a picture, given as the bytes of a JPEG, PNG or WebP file."""

    def read(answer: Answer) -> Detections:
        found = answer.json()
        boxes = tuple(
            Detection(one["label"], one["score"], tuple(one["box"])) for one in found["detections"]
        )
        size = found["width"], found["height"]
        faults = tuple(found.get("faults", ()))
        return Detections(*_origin(found), *size, boxes, _cost(answer), faults)

    return Call(
        "inference",
        "POST",
        "/v1/vision/detect",
        read,
        params={"model": model, "version": version, "threshold": threshold},
        headers={"content-type": _media_type(image)},
        content=image,
    )


def forecast(
    values: Values,
    horizon: int,
    *,
    model: str | None = None,
    version: Version = None,
    quantiles: Sequence[float] | None = None,
    known: Sequence[Sequence[float]] | None = None,
) -> Call[Forecast]:
    """Continue an evenly spaced series, oldest value first, by `horizon` steps; None or NaN is what
    was not measured, which some models refuse. `known`: what the model wants to know beside it, a
    row each over its context and the steps ahead."""

    def read(answer: Answer) -> Forecast:
        found = answer.json()
        rows = np.array(found["values"], np.float64)
        mean = np.array(found["mean"], np.float64) if "mean" in found else None
        return Forecast(*_origin(found), tuple(found["quantiles"]), rows, _cost(answer), mean)

    return _task(
        "/v1/forecast",
        read,
        model=model,
        version=version,
        values=_numbers(values),
        horizon=horizon,
        quantiles=None if quantiles is None else [float(q) for q in quantiles],
        known=None if known is None else _floats(known),
    )


def forecasts(
    series: Sequence[Values],
    horizon: int,
    *,
    model: str | None = None,
    version: Version = None,
    quantiles: Sequence[float] | None = None,
    known: Sequence[Sequence[float]] | None = None,
) -> Call[Forecasts]:
    """Continue several series at once: those that a model reads together, or any of one that reads
    them one by one. The other arguments are those of `forecast`, the same for all."""

    def read(answer: Answer) -> Forecasts:
        found = answer.json()
        each = found["forecasts"]
        rows = np.array([one["values"] for one in each], np.float64)
        mean = np.array([one["mean"] for one in each], np.float64) if "mean" in each[0] else None
        return Forecasts(*_origin(found), tuple(found["quantiles"]), rows, _cost(answer), mean)

    return _task(
        "/v1/forecast",
        read,
        model=model,
        version=version,
        series=[_numbers(one) for one in series],
        horizon=horizon,
        quantiles=None if quantiles is None else [float(q) for q in quantiles],
        known=None if known is None else _floats(known),
    )


def classify(
    texts: Sequence[str], *, model: str | None = None, version: Version = None, top_k: int = 3
) -> Call[Classification]:
    """The `top_k` likeliest labels of each text."""

    def read(answer: Answer) -> Classification:
        found = answer.json()
        results = tuple(
            tuple(Label(one["label"], one["score"]) for one in labels)
            for labels in found["results"]
        )
        return Classification(*_origin(found), results, _cost(answer))

    return _task(
        "/v1/text/classify", read, model=model, version=version, input=_list(texts), top_k=top_k
    )


def embed(
    texts: Sequence[str], *, model: str | None = None, version: Version = None
) -> Call[Embeddings]:
    """One unit vector per text."""

    def read(answer: Answer) -> Embeddings:
        found = answer.json()
        rows = sorted(found["data"], key=lambda row: row["index"])
        data = b"".join(base64.b64decode(row["embedding"]) for row in rows)
        vectors = np.frombuffer(data, "<f4").reshape(len(rows), -1)
        tokens = found["usage"]["total_tokens"]
        return Embeddings(*_origin(found), vectors, tokens, _cost(answer))

    return _task(
        "/v1/embeddings",
        read,
        model=model,
        version=version,
        input=_list(texts),
        encoding_format="base64",
    )


def _model_path(model: str, version: Version) -> str:
    if version is None:
        return path_of("v2", "models", model)
    return path_of("v2", "models", model, "versions", version)


def _task(path: str, read: Callable[[Answer], T], **document: Any) -> Call[T]:
    return Call("inference", "POST", path, read, headers=JSON_TYPE, content=json_body(document))


def _numbers(values: Values) -> list[float | None]:
    return [None if one is None or one != one else float(one) for one in values]  # noqa: PLR0124 NaN


def _floats(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[float(one) for one in row] for row in rows]


def _list(texts: Sequence[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def _tensor(entry: Mapping[str, Any]) -> Tensor:
    return Tensor(entry["name"], entry["datatype"], tuple(entry["shape"]))


def _origin(found: Mapping[str, Any]) -> tuple[str, int, Timing]:
    """(model, version, timing) of a task's answer; the total is the phases' sum if not given."""
    given = found["timing"]
    phases = {
        name: given.get(name, 0) for name in ("queue_us", "prepare_us", "run_us", "interpret_us")
    }
    total = given.get("total_us", sum(phases.values()))
    return found["model"], found["version"], Timing(**phases, total_us=total)


def _cost(answer: Answer) -> Cost:
    left = answer.headers.get("x-plaza-budget-remaining")
    spent = {
        name: int(answer.headers.get(f"x-plaza-{name.replace('_', '-')}", 0))
        for name in ("charge", "compute_us", "host_us", "batch_rows")
    }
    return Cost(**spent, budget_remaining=None if left is None else int(left))


def _media_type(image: bytes) -> str:
    for magic, name in _PICTURES:
        if image.startswith(magic):
            return name
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "image/webp"
    return "application/octet-stream"
