"""The first bytes of a picture: which format, how many pixels. Nothing is decoded here.

A picture can claim 50,000 x 50,000 pixels in a kilobyte, and opening a WebP already reserves its
canvas; so format and size are read from the header before any codec sees the bytes. Its parts
are counted too, because millions of empty ones keep a codec busy for seconds.
Sources: PNG (ISO/IEC 15948) §11.2.2; JPEG (ITU-T T.81) §B.2.2; WebP container (RFC 9649) §2.
"""

from __future__ import annotations

from dataclasses import dataclass

from plaza_core.errors import InvalidInput, UnsupportedMedia

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_OTHER_FORMATS: dict[bytes, str] = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"<?xml": "SVG",
    b"\x00\x00\x01\x00": "ICO",
    b"8BPS": "PSD",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
}
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _FILL = 0xDA, 0xFF
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_MOST_PARTS = 20_000
"""Segments or chunks: many more than any encoder writes, few enough to walk in milliseconds."""


@dataclass(frozen=True, slots=True)
class Header:
    format: str
    """JPEG, PNG or WEBP."""
    width: int
    height: int


def is_picture(data: bytes) -> bool:
    """Whether it begins as a JPEG, PNG or WebP does, however it goes on."""
    webp = data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    return webp or data.startswith((_JPEG, _PNG))


def read_header(data: bytes) -> Header:
    """Raises UnsupportedMedia for pictures of other formats, InvalidInput for anything else that is
    not the beginning of a JPEG, PNG or WebP."""
    if data.startswith(_JPEG):
        return Header("JPEG", *_jpeg_size(data))
    if data.startswith(_PNG):
        return Header("PNG", *_png_size(data))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Header("WEBP", *_webp_size(data))
    for magic, name in _OTHER_FORMATS.items():
        if data.startswith(magic):
            raise UnsupportedMedia(f"{name} is not taken; send JPEG, PNG or WebP", input="image")
    if data[4:8] == b"ftyp":
        raise UnsupportedMedia("HEIF and AVIF are not taken; send JPEG, PNG or WebP", input="image")
    raise InvalidInput("not a picture: expected JPEG, PNG or WebP", input="image")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the segments up to the first scan; there must be one frame header on the way."""
    at, size = 2, None
    for _ in range(_MOST_PARTS):
        if at + 4 > len(data) or data[at] != 0xFF:
            raise _torn()
        marker = data[at + 1]
        if marker == _FILL:
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker == _START_OF_SCAN:
            if size is None:
                raise _torn()
            return size
        else:
            if marker in _START_OF_FRAME:
                if size is not None or at + 9 > len(data):
                    raise _torn()
                size = _big(data[at + 7 : at + 9]), _big(data[at + 5 : at + 7])
            at += 2 + _big(data[at + 2 : at + 4])
    raise _torn()


def _png_size(data: bytes) -> tuple[int, int]:
    """The first chunk has the size; the others are counted, for the codec reads them one by one."""
    if len(data) < 24 or data[12:16] != b"IHDR":
        raise _torn()
    at = len(_PNG)
    for _ in range(_MOST_PARTS):
        if at + 8 > len(data) or data[at + 4 : at + 8] == b"IEND":
            return _big(data[16:20]), _big(data[20:24])
        at += 12 + _big(data[at : at + 4])
    raise _torn()


def _webp_size(data: bytes) -> tuple[int, int]:
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise _torn()
    if chunk == b"VP8X":
        return 1 + _little(body[4:7]), 1 + _little(body[7:10])
    if chunk == b"VP8L" and body[0] == 0x2F:
        bits = _little(body[1:5])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return _little(body[6:8]) & 0x3FFF, _little(body[8:10]) & 0x3FFF
    raise _torn()


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _torn() -> InvalidInput:
    return InvalidInput("the picture's header is damaged or cut off", input="image")
