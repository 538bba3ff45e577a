"""The family `vision.detect`: a picture in, labelled boxes out; or a sequence in, counts out.

options:
  decoder: plaza-nano | yolox | yolov5 | yolov8 | fastestdet | nanodet | ssd | end-to-end
  decoding: {…}             what else the decoder must know, see `decode_*.py`
  preprocess: {fit, anchor, fill, resize, colours, layout, scale, mean, std}
  labels: [car, …]          or   labels_file: coco.names, a file of the bundle, one per line
  keep: [car, truck]        report these labels only
  threshold: 0.4            lowest score to report, unless the request names one
  iou: 0.5                  overlap beyond which the weaker of two boxes goes; end-to-end: 1
  max_detections: 300
  font_file: letters.ttf    a file of the bundle, for labels in drawn pictures
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plaza_core.errors import InvalidBundle, InvalidInput
from plaza_core.manifest import Manifest
from plaza_core.running import Family, Prepared
from plaza_core.tensors import Array
from plaza_models.tasks import Detection, Detections, DetectTask
from plaza_models.vision import bundled, counting
from plaza_models.vision.counting import Counting
from plaza_models.vision.decode import Decoder
from plaza_models.vision.decoders import DecoderName, make_decoder
from plaza_models.vision.draw import draw
from plaza_models.vision.fit import Fit
from plaza_models.vision.image import MAX_PIXELS, decode
from plaza_models.vision.nms import suppress
from plaza_models.vision.preprocess import PreprocessOptions, Preprocessor
from plaza_models.vision.quality import Fault, look
from plaza_models.vision.tasks import Counted, CountTask
from plaza_models.vision.typeface import PLAIN, Typeface

_MOST_CANDIDATES = 1000
_OVERLAP = 0.5
_Label = Annotated[str, Field(min_length=1, max_length=100)]
_File = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", description="file of the bundle")
]


class DetectOptions(BaseModel):
    """`options` of a bundle of this family."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decoder: DecoderName
    decoding: dict[str, Any] = Field(default={}, description="options of the decoder")
    preprocess: PreprocessOptions = PreprocessOptions()
    labels: list[_Label] | None = Field(default=None, min_length=1)
    labels_file: _File | None = None
    keep: list[_Label] | None = Field(default=None, min_length=1)
    threshold: float = Field(default=0.4, ge=0, le=1)
    iou: float | None = Field(default=None, ge=0, le=1)
    max_detections: int = Field(default=300, ge=1, le=_MOST_CANDIDATES)
    font_file: _File | None = None

    @model_validator(mode="after")
    def _one_source_of_labels(self) -> Self:
        if (self.labels is None) == (self.labels_file is None):
            raise ValueError("name either labels or labels_file")
        return self


@dataclass(frozen=True, slots=True)
class _Asked:
    """From `prepare` to `interpret`, for one picture."""

    fit: Fit
    threshold: float
    limit: int
    faults: tuple[Fault, ...]
    task: DetectTask


class Detector:
    """One opened detector. Stateless after construction: safe on any number of threads."""

    def __init__(
        self,
        preprocessor: Preprocessor,
        decoder: Decoder,
        options: DetectOptions,
        labels: tuple[str, ...],
        *,
        typeface: Typeface,
        batched: bool,
        max_pixels: int,
    ) -> None:
        self._batched = batched
        self._preprocessor = preprocessor
        self._decode = decoder
        self._options = options
        self._labels = labels
        self._typeface = typeface
        self._max_pixels = max_pixels
        unsuppressed = 1.0 if decoder.apart else _OVERLAP
        self._overlap = unsuppressed if options.iou is None else options.iou
        self._reported = np.array([not options.keep or name in options.keep for name in labels])

    def prepare(self, payload: DetectTask | CountTask) -> Prepared:
        """One row per picture. Raises InvalidInput and UnsupportedMedia, see `image.decode`."""
        if not isinstance(payload, DetectTask | CountTask):
            raise InvalidInput("this model detects objects in a picture", input="image")
        threshold = self._options.threshold if payload.threshold is None else payload.threshold
        if not 0 <= threshold <= 1:
            raise InvalidInput("a threshold lies between 0 and 1", input="threshold")
        if isinstance(payload, CountTask):
            return counting.prepare(
                payload,
                self._preprocessor,
                threshold,
                batched=self._batched,
                max_pixels=self._max_pixels,
            )
        if payload.max_detections < 1:
            raise InvalidInput("max_detections is at least 1", input="max_detections")
        limit = min(payload.max_detections, self._options.max_detections)
        picture = decode(
            payload.image, max_pixels=self._max_pixels, enough=self._preprocessor.enough
        )
        tensor, fit = self._preprocessor(picture)
        context = _Asked(fit, threshold, limit, look(picture.pixels).faults, payload)
        return Prepared({self._preprocessor.name: tensor}, rows=1, context=context)

    def interpret(
        self, outputs: Mapping[str, Array], context: _Asked | Counting
    ) -> Detections | Counted:
        """Boxes in pixels of the picture, clipped to it, best first."""
        if isinstance(context, Counting):
            return counting.interpret(
                outputs,
                context,
                self._select,
                max_pixels=self._max_pixels,
                typeface=self._typeface,
            )
        fit = context.fit
        chosen = self._select(outputs, fit, context.threshold, context.limit)
        found = Detections(fit.width, fit.height, chosen, context.faults)
        if context.task.draw is None:
            return found
        drawn = draw(
            context.task.image,
            found,
            format=context.task.draw,
            max_pixels=self._max_pixels,
            typeface=self._typeface,
        )
        return replace(found, picture=drawn)

    def _select(
        self, outputs: Mapping[str, Array], fit: Fit, threshold: float, limit: int | None = None
    ) -> tuple[Detection, ...]:
        found, limit = self._decode(outputs), limit or self._options.max_detections
        classes, best = found.scores.argmax(1), found.scores.max(1)
        # A comparison with NaN is false, so scores and boxes that are no numbers fall out here.
        good = np.flatnonzero(
            (best >= threshold) & self._reported[classes] & np.isfinite(found.boxes).all(1)
        )
        if good.size > _MOST_CANDIDATES:
            good = good[np.argsort(-best[good], kind="stable")[:_MOST_CANDIDATES]]
        boxes, classes, best = found.boxes[good], classes[good], best[good]
        chosen = suppress(boxes, best, classes, threshold=self._overlap, limit=limit)
        in_picture = fit.to_picture(boxes[chosen])
        return tuple(
            Detection(self._labels[kind], score, (x1, y1, x2, y2))
            for kind, score, (x1, y1, x2, y2) in zip(
                classes[chosen].tolist(), best[chosen].tolist(), in_picture.tolist(), strict=True
            )
            if x2 > x1 and y2 > y1
        )


def open_family(directory: Path, manifest: Manifest, *, max_pixels: int = MAX_PIXELS) -> Family:
    """Check the options against the signature, read labels and letters. Raises InvalidBundle naming
    the option that is wrong."""
    options = _options(manifest.options)
    signature = manifest.signature_spec()
    if len(signature.inputs) != 1:
        raise InvalidBundle("a detector has one input, the picture", input="signature.inputs")
    preprocessor = Preprocessor(signature.inputs[0], options.preprocess)
    labels, typeface = _read(directory, options)
    decoder = make_decoder(
        options.decoder, signature.outputs, preprocessor.size, options.decoding, len(labels)
    )
    if len(labels) != decoder.classes:
        raise InvalidBundle(
            f"{len(labels)} labels, but the model has {decoder.classes} classes",
            input="options.labels",
        )
    for name in options.keep or ():
        if name not in labels:
            raise InvalidBundle(f"'{name}' is not among the labels", input="options.keep")
    return Detector(
        preprocessor,
        decoder,
        options,
        labels,
        typeface=typeface,
        batched=signature.batched,
        max_pixels=max_pixels,
    )


def _options(raw: Mapping[str, Any]) -> DetectOptions:
    try:
        return DetectOptions.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(("options", *(str(part) for part in first["loc"])))
        raise InvalidBundle(first["msg"], input=where) from None


def _read(directory: Path, options: DetectOptions) -> tuple[tuple[str, ...], Typeface]:
    if options.labels_file is None:
        labels = tuple(options.labels or ())
    else:
        labels = bundled.labels(directory / options.labels_file, "options.labels_file")
    if options.font_file is None:
        return labels, PLAIN
    path = directory / options.font_file
    return labels, bundled.typeface(path, "".join(labels), "options.font_file")
