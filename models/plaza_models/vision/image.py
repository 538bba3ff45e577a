"""Encoded bytes to pixels: upright RGB, or an error that says what is wrong with the picture."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Imported for their effect: Pillow then knows these three codecs without loading all others.
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

from plaza_core.errors import InvalidInput
from plaza_models.vision.header import Header, read_header

# Pillow warns of damaged EXIF with text from the picture: strangers would write our log with it.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

MAX_PIXELS = 40_000_000

Pixels = NDArray[np.uint8]
"""(height, width, 3), RGB."""

_BROKEN = (
    OSError,  # truncated, or not what it says it is
    SyntaxError,  # Pillow's word for a broken PNG
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for damaged bytes."""

_ORIENTATION = 0x0112
_WIDE_MODES = frozenset(("I", "I;16", "I;16B", "I;16L", "F"))


@dataclass(frozen=True, slots=True)
class Picture:
    """`pixels` may be smaller than the picture (`width` x `height`, as a viewer shows it): a JPEG
    is decoded at a fraction of its size when no more is wanted."""

    pixels: Pixels
    width: int
    height: int


def decode(
    data: bytes, *, max_pixels: int = MAX_PIXELS, enough: tuple[int, int] | None = None
) -> Picture:
    """Decode a JPEG, PNG or WebP; orientation applied, transparency laid on white.

    `enough` is a (width, height) box: a picture that still covers it may be decoded smaller.
    Raises UnsupportedMedia for other formats; InvalidInput for what is no picture, has more than
    `max_pixels` pixels (found before anything is decoded), or is damaged.
    """
    header = read_header(data)
    check_size(header.width, header.height, max_pixels)
    try:
        with Image.open(io.BytesIO(data), formats=(header.format,)) as file:
            # Pillow reads the size by itself; the two must not be played against each other.
            check_size(file.width, file.height, max_pixels)
            return _decode(file, header, enough)
    except _BROKEN:
        raise InvalidInput("the picture is damaged or cut off", input="image") from None


def _decode(file: Image.Image, header: Header, enough: tuple[int, int] | None) -> Picture:
    turn = _orientation(file)
    width, height = file.size
    if enough and header.format == "JPEG":
        wanted = enough if turn < 5 else enough[::-1]
        file.draft(None, wanted)
    file.load()
    pixels = _turned(_rgb(file), turn)
    if turn >= 5:
        width, height = height, width
    return Picture(np.ascontiguousarray(pixels), width, height)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raises InvalidInput for a picture without pixels, or with too many."""
    if width < 1 or height < 1:
        raise InvalidInput("the picture has no pixels", input="image")
    if width * height > max_pixels:
        raise InvalidInput(
            f"{width} x {height} pixels; the largest picture has {max_pixels:,}", input="image"
        )


def _rgb(file: Image.Image) -> Pixels:
    if file.mode in _WIDE_MODES:
        # 16 bits per sample: keep the upper 8, which is what a viewer shows.
        grey = (np.asarray(file).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if file.has_transparency_data:
        layer = file.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return np.asarray(Image.alpha_composite(ground, layer).convert("RGB"))
    return np.asarray(file.convert("RGB"))


def _orientation(file: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it cannot be read."""
    try:
        value = file.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """Undo the camera's orientation. Source: EXIF 2.32 §4.6.4, tag Orientation."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
