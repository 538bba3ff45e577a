"""Every decoder by the name it has in `plaza.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from plaza_core.errors import InvalidBundle
from plaza_core.tensors import TensorSpec
from plaza_models.options import Options, read_options
from plaza_models.vision.decode import (
    Decoder,
    FastestDet,
    GridChoices,
    NoChoices,
    PlazaNano,
    Size,
    YoloX,
)
from plaza_models.vision.decode_final import Final, FinalChoices
from plaza_models.vision.decode_gfl import DistributionChoices, NanoDet
from plaza_models.vision.decode_ssd import BoxChoices, Ssd
from plaza_models.vision.decode_yolo import ColumnChoices, RowChoices, YoloV5, YoloV8

DecoderName = Literal[
    "plaza-nano", "yolox", "yolov5", "yolov8", "fastestdet", "nanodet", "ssd", "end-to-end"
]
C = TypeVar("C", bound=Options)
_Make = Callable[[Sequence[TensorSpec], Size, Mapping[str, Any], int], Decoder]


def make_decoder(
    name: DecoderName,
    outputs: Sequence[TensorSpec],
    size: Size,
    decoding: Mapping[str, Any],
    labels: int,
) -> Decoder:
    """Raises InvalidBundle when the outputs, or the options in `decoding`, are not of this kind."""
    return _MAKERS[name](outputs, size, decoding, labels)


def _read(model: type[C], decoding: Mapping[str, Any]) -> C:
    try:
        return read_options(model, decoding)
    except InvalidBundle as error:
        where = str(error.input).replace("options", "options.decoding", 1)
        raise InvalidBundle(error.message, input=where) from None


def _plain(kind: type[PlazaNano] | type[FastestDet]) -> _Make:
    def make(
        outputs: Sequence[TensorSpec],
        size: Size,
        decoding: Mapping[str, Any],
        labels: int,  # noqa: ARG001 the same call for all
    ) -> Decoder:
        _read(NoChoices, decoding)
        return kind(outputs, size)

    return make


_MAKERS: dict[DecoderName, _Make] = {
    "plaza-nano": _plain(PlazaNano),
    "fastestdet": _plain(FastestDet),
    "yolox": lambda outputs, size, raw, _: YoloX(outputs, size, _read(GridChoices, raw)),
    "yolov5": lambda outputs, size, raw, _: YoloV5(outputs, size, _read(RowChoices, raw)),
    "yolov8": lambda outputs, size, raw, _: YoloV8(outputs, size, _read(ColumnChoices, raw)),
    "nanodet": lambda outputs, size, raw, _: NanoDet(
        outputs, size, _read(DistributionChoices, raw)
    ),
    "ssd": lambda outputs, size, raw, _: Ssd(outputs, size, _read(BoxChoices, raw)),
    "end-to-end": lambda outputs, size, raw, labels: Final(
        outputs, size, _read(FinalChoices, raw), labels=labels
    ),
}
