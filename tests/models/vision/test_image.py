"""A picture is taken as it is meant, or refused with the reason, before it costs anything."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from plaza_core.errors import InvalidInput, PlazaError, UnsupportedMedia
from plaza_models.vision.header import read_header
from plaza_models.vision.image import decode


def encoded(picture, format="PNG", **options):
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


def gradient(width=40, height=24):
    """Left to right red, top to bottom green: every pixel tells where it was."""
    ys, xs = np.mgrid[0:height, 0:width]
    stack = np.stack((xs * 255 // (width - 1), ys * 255 // (height - 1), 0 * xs), 2)
    return Image.fromarray(stack.astype(np.uint8))


def png_claiming(width, height):
    """A well-formed PNG of a few hundred bytes whose header claims any size."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(10_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 95}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_the_three_formats_give_upright_rgb(format, options):
    picture = decode(encoded(gradient(), format, **options))
    assert (picture.width, picture.height) == (40, 24)
    assert picture.pixels.shape == (24, 40, 3)
    assert np.abs(picture.pixels.astype(int) - np.asarray(gradient()).astype(int)).mean() < 12


def test_progressive_jpeg_and_webp_with_alpha_have_readable_headers():
    progressive = read_header(encoded(gradient(), "JPEG", progressive=True))
    assert (progressive.width, progressive.height) == (40, 24)
    layered = gradient().convert("RGBA")
    layered.putalpha(128)
    extended = read_header(encoded(layered, "WEBP", exact=True))
    assert (extended.format, extended.width, extended.height) == ("WEBP", 40, 24)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_orientation_is_undone(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(gradient(), "PNG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    picture = decode(data)
    assert (picture.width, picture.height) == expected.size
    np.testing.assert_array_equal(picture.pixels, np.asarray(expected))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as the module does outside of tests
def test_unreadable_exif_does_not_cost_the_picture():
    data = encoded(gradient(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert decode(data).width == 40


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "I;16"])
def test_every_kind_of_pixel_becomes_rgb(mode):
    grey = gradient().convert("L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        picture = gradient().convert(mode)
    pixels = decode(encoded(picture)).pixels
    assert pixels.shape == (24, 40, 3)
    assert pixels.dtype == np.uint8
    if mode in {"L", "LA", "I;16"}:
        np.testing.assert_array_equal(pixels[..., 0], np.asarray(grey))


def test_cmyk_jpeg_is_taken():
    flat = Image.new("RGB", (32, 32), (200, 40, 40)).convert("CMYK")
    red, green, _ = decode(encoded(flat, "JPEG", quality=95)).pixels[16, 16]
    assert red > 150 > green


def test_transparency_lies_on_white():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert (decode(encoded(clear)).pixels == 255).all()


def test_a_large_jpeg_is_decoded_no_larger_than_wanted_yet_keeps_its_size():
    picture = decode(encoded(gradient(1600, 900), "JPEG"), enough=(320, 180))
    assert (picture.width, picture.height) == (1600, 900)
    assert picture.pixels.shape == (225, 400, 3)


def test_a_turned_large_jpeg_still_covers_what_is_wanted():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(gradient(1600, 900), "JPEG", exif=exif)
    picture = decode(data, enough=(200, 400))
    assert (picture.width, picture.height) == (900, 1600)
    assert picture.pixels.shape[0] >= 400
    assert picture.pixels.shape[1] >= 200


@pytest.fixture
def no_codec(monkeypatch):
    """Whatever is refused now was refused before a codec saw it."""

    def opened(*_, **__):
        raise AssertionError("the codec was asked")

    monkeypatch.setattr(Image, "open", opened)


@pytest.mark.usefixtures("no_codec")
def test_a_picture_of_2500_million_pixels_is_refused_by_its_header():
    bomb = png_claiming(50_000, 50_000)
    assert len(bomb) < 1000
    with pytest.raises(InvalidInput, match="50000 x 50000") as refusal:
        decode(bomb)
    assert refusal.value.input == "image"


def test_the_limit_is_the_pixels_not_the_sides():
    data = encoded(gradient(40, 24))
    assert decode(data, max_pixels=960).width == 40
    with pytest.raises(InvalidInput):
        decode(data, max_pixels=959)


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF", "ICO"])
def test_other_formats_are_named(format):
    with pytest.raises(UnsupportedMedia) as refusal:
        decode(encoded(gradient(32, 32).convert("RGB"), format))
    assert refusal.value.code == "unsupported_media"


def test_avif_is_named():
    with pytest.raises(UnsupportedMedia):
        decode(b"\x00\x00\x00\x20ftypavif" + bytes(40))


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"hello, world", b"RIFF\x00\x00\x00\x00WAVE", bytes(500)]
)
def test_what_is_no_picture_is_said_to_be_none(data):
    with pytest.raises(InvalidInput, match="not a picture"):
        decode(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_a_truncated_picture_is_refused(format, part):
    data = encoded(gradient(200, 120), format)
    with pytest.raises(InvalidInput) as refusal:
        decode(data[: int(len(data) * part)])
    assert refusal.value.input == "image"


@pytest.mark.usefixtures("no_codec")
def test_two_frame_headers_are_refused():
    """Else this module would read the small one and the codec use the large one."""
    small, large = encoded(gradient(16, 16), "JPEG"), encoded(gradient(1600, 900), "JPEG")
    frame = small.index(b"\xff\xc0")
    length = 2 + int.from_bytes(small[frame + 2 : frame + 4], "big")
    forged = large[:2] + small[frame : frame + length] + large[2:]
    with pytest.raises(InvalidInput):
        decode(forged, max_pixels=1000)


@pytest.mark.usefixtures("no_codec")
@pytest.mark.parametrize("part", [b"\xff\xd0", b"\xff", b"\xff\xe0\x00\x02"])
def test_millions_of_empty_segments_do_not_reach_the_codec(part):
    stuffed = b"\xff\xd8\xff\xe0\x00\x02" + part * (4_000_000 // len(part))
    with pytest.raises(InvalidInput):
        decode(stuffed)


@pytest.mark.usefixtures("no_codec")
def test_millions_of_empty_chunks_do_not_reach_the_codec():
    plain = encoded(gradient())
    end = plain.index(b"IDAT") - 4
    empty = struct.pack(">I", 0) + b"abCd" + struct.pack(">I", zlib.crc32(b"abCd"))
    with pytest.raises(InvalidInput):
        decode(plain[:end] + empty * 300_000 + plain[end:])


_SEEDS = [encoded(gradient(), f) for f in ("JPEG", "PNG", "WEBP")]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(_SEEDS),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damaged_bytes_give_pixels_or_an_error_of_plaza(seed, damage):
    data = bytearray(seed)
    for at, value in damage:
        data[at % len(data)] = value
    try:
        picture = decode(bytes(data), max_pixels=100_000)
    except PlazaError:
        return
    assert picture.pixels.shape == (picture.height, picture.width, 3)
