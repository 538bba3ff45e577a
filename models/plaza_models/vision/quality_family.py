"""The family `vision.quality`: a camera's pictures in, their faults and what was measured out.

The graph is the judge: it takes what was measured of each picture, in the order of
`quality.MEASURES`, and says how far each value is beyond its limit. So limits are a version like
any other, with a card, certificates, aliases, prices and roll-outs of their own.

options: none
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plaza_core.errors import InvalidBundle, InvalidInput, UnsupportedMedia
from plaza_core.manifest import Manifest
from plaza_core.running import Family, Prepared
from plaza_core.tensors import BATCH_AXIS, Array, DType
from plaza_models.options import Options, read_options
from plaza_models.vision.draw_quality import draw_quality
from plaza_models.vision.header import is_picture, read_header
from plaza_models.vision.image import MAX_PIXELS, Picture, check_size, decode
from plaza_models.vision.quality import MEASURES, Look, faults_of, look
from plaza_models.vision.tasks import (
    MOST_IMAGES,
    MeasuredValue,
    PictureQuality,
    Quality,
    QualityTask,
)

_DAMAGED = PictureQuality(0, 0, ("damaged",), ())
_SHAPE = (BATCH_AXIS, len(MEASURES))


class QualityOptions(Options):
    """`options` of a bundle of this family: it has none."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """From `prepare` to `interpret`."""

    task: QualityTask
    seen: tuple[tuple[int, int, NDArray[np.float32]] | None, ...]
    """Of each picture its width, height and values; None: damaged."""


class Judge:
    """One opened version. Stateless after construction: safe on any number of threads."""

    def __init__(self, input: str, output: str, max_pixels: int) -> None:
        self._input = input
        self._output = output
        self._max_pixels = max_pixels

    def prepare(self, payload: QualityTask) -> Prepared:
        """One row for each picture that can be decoded. Raises InvalidInput and UnsupportedMedia
        for what is no picture or too large a one; a damaged picture is an answer."""
        if not isinstance(payload, QualityTask):
            raise InvalidInput("this model looks for faults of pictures", input="model")
        if not 1 <= len(payload.images) <= MOST_IMAGES:
            raise InvalidInput(f"send 1 to {MOST_IMAGES} pictures", input="images")
        before: Look | None = None
        seen: list[tuple[int, int, NDArray[np.float32]] | None] = []
        for number, image in enumerate(payload.images):
            try:
                picture = _decoded(image, self._max_pixels)
            except (InvalidInput, UnsupportedMedia) as error:
                if len(payload.images) == 1:
                    raise
                told = f"picture {number}: {error.message}"
                raise type(error)(told, input=f"images[{number}]") from None
            if picture is None:
                seen.append(None)
                continue
            before = look(picture.pixels, before)
            seen.append((picture.width, picture.height, before.values))
        # A run needs a row; without a picture its answer is not looked at.
        rows = [one[2] for one in seen if one] or [np.zeros(len(MEASURES), np.float32)]
        return Prepared({self._input: np.stack(rows)}, len(rows), _Asked(payload, tuple(seen)))

    def interpret(self, outputs: Mapping[str, Array], context: _Asked) -> Quality:
        rows = iter(outputs[self._output])
        size: tuple[int, int] | None = None
        pictures: list[PictureQuality] = []
        for one in context.seen:
            if one is None:
                pictures.append(_DAMAGED)
                continue
            width, height, values = one
            size = size or (width, height)
            excess = next(rows)
            other = () if (width, height) == size else ("other-size",)
            faults = (*faults_of(excess), *other)
            pictures.append(PictureQuality(width, height, faults, _measures(values, excess)))
        usable = sum(not picture.faults for picture in pictures)
        found = Quality(tuple(pictures), usable)
        if context.task.draw is None:
            return found
        drawn = draw_quality(
            context.task.images, found, format=context.task.draw, max_pixels=self._max_pixels
        )
        return replace(found, picture=drawn)


def open_family(directory: Path, manifest: Manifest, *, max_pixels: int = MAX_PIXELS) -> Family:  # noqa: ARG001 the port's names
    """Raises InvalidBundle naming what is wrong."""
    read_options(QualityOptions, manifest.options)
    signature = manifest.signature_spec()
    for name, specs in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        if len(specs) != 1 or specs[0].datatype is not DType.FP32 or specs[0].shape != _SHAPE:
            raise InvalidBundle(
                f"expected one tensor of 32-bit floats, {BATCH_AXIS} x {len(MEASURES)}: a row of "
                "measures of each picture in, how far each is beyond its limit out",
                input=f"signature.{name}",
            )
    return Judge(signature.inputs[0].name, signature.outputs[0].name, max_pixels)


def _decoded(image: bytes, max_pixels: int) -> Picture | None:
    """None: it begins as a picture and cannot be decoded."""
    try:
        header = read_header(image)
    except InvalidInput:
        if not is_picture(image):
            raise
        return None
    check_size(header.width, header.height, max_pixels)
    try:
        return decode(image, max_pixels=max_pixels)
    except InvalidInput:
        return None


def _measures(
    values: NDArray[np.float32], excess: NDArray[np.float32]
) -> tuple[MeasuredValue, ...]:
    return tuple(
        MeasuredValue(measure.name, _number(value), _number(beyond), measure.fault)
        for measure, value, beyond in zip(MEASURES, values, excess, strict=True)
    )


def _number(value: np.float32) -> float | None:
    """As many digits as the float has, and no more."""
    return None if math.isnan(value) else float(str(value))
