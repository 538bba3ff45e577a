"""Pixels to the input tensor: fit, colour order, scale, mean, layout; as the manifest says."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from plaza_core.errors import InvalidBundle
from plaza_core.tensors import NUMPY, Array, DType, TensorSpec
from plaza_models.vision.fit import Fit, Resize, Rounding, letterbox, paste, stretch
from plaza_models.vision.image import Picture

_Channels = tuple[float, float, float]
_Deviation = Annotated[float, Field(gt=0)]


class PreprocessOptions(BaseModel):
    """`options.preprocess` of a bundle. A sample becomes (pixel * scale - mean) / std."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fit: Literal["letterbox", "stretch"] = "letterbox"
    anchor: Literal["centre", "corner"] = Field(
        default="centre", description="where a letterboxed picture lies"
    )
    rounding: Rounding = Field(
        default="nearest", description="of a letterboxed picture's size, to whole pixels"
    )
    fill: int = Field(default=114, ge=0, le=255, description="grey around a letterboxed picture")
    resize: Resize = Field(
        default="smooth",
        description="smooth: averages what it shrinks; linear: between four pixels",
    )
    colours: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    scale: float = Field(default=1 / 255, gt=0)
    mean: _Channels = (0.0, 0.0, 0.0)
    std: tuple[_Deviation, _Deviation, _Deviation] = (1.0, 1.0, 1.0)


class Preprocessor:
    """Makes the one input of a model that looks at pictures."""

    def __init__(self, spec: TensorSpec, options: PreprocessOptions) -> None:
        """Raises InvalidBundle when `spec` is not a batch of three-channel pictures of one size."""
        self._options = options
        self.dtype = NUMPY[spec.datatype]
        self.name = spec.name
        self.layout = options.layout
        self.size = _input_size(spec, options.layout)
        """(width, height) of the input."""
        self.enough = self.size if options.resize == "smooth" else None
        """Size below which a picture must not be decoded; None: its own."""
        self._mean = np.array(options.mean, dtype=np.float32)
        self._std = np.array(options.std, dtype=np.float32)

    def __call__(self, picture: Picture) -> tuple[Array, Fit]:
        """The tensor, with a leading axis of one row, and how the picture lies in it."""
        options = self._options
        if options.fit == "stretch":
            fit = stretch(picture.width, picture.height, self.size)
        else:
            fit = letterbox(
                picture.width, picture.height, self.size, options.anchor, options.rounding
            )
        canvas = paste(picture.pixels, fit, self.size, options.fill, options.resize)
        if options.colours == "bgr":
            canvas = canvas[..., ::-1]
        if self.dtype == np.uint8:
            samples: Array = canvas
        else:
            scaled = canvas.astype(np.float32) * np.float32(options.scale)
            samples = ((scaled - self._mean) / self._std).astype(self.dtype)
        if options.layout == "nchw":
            samples = samples.transpose(2, 0, 1)
        return np.ascontiguousarray(samples[None]), fit


def _input_size(spec: TensorSpec, layout: str) -> tuple[int, int]:
    if spec.datatype not in (DType.FP32, DType.FP16, DType.UINT8):
        raise InvalidBundle("pictures come as FP32, FP16 or UINT8", input="signature.inputs")
    axes = dict(zip(layout, spec.shape, strict=False))
    height, width = axes.get("h"), axes.get("w")
    if len(spec.shape) != 4 or axes["c"] != 3 or not _one_row(axes["n"]):
        raise InvalidBundle(
            f"expected one input of rows, 3 channels, height and width as {layout}",
            input="signature.inputs",
        )
    if not isinstance(height, int) or not isinstance(width, int):
        raise InvalidBundle("the input's height and width must be fixed", input="signature.inputs")
    return width, height


def _one_row(axis: int | str | None) -> bool:
    return axis == 1 or isinstance(axis, str)
