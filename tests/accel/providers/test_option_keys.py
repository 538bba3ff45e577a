"""Option keys as the wheels know them: each is looked for in the library that reads it.

Runs where a wheel is: installed in this environment, or as a file in the directory `PLAZA_WHEELS`
(`pip download --no-deps onnxruntime-gpu==1.31.1 …`). docs/providers.md holds what was seen.
"""

from __future__ import annotations

import importlib.util
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from plaza_accel.contract.provider import AcceleratorOptions
from plaza_accel.providers import cann, cuda, nvidia, openvino, options_page, tensorrt

PAGE = Path(__file__).parents[3] / "docs" / "providers.md"


@dataclass(frozen=True)
class Wheel:
    provider: object
    file: str
    binary: str


WHEELS = [
    Wheel(cuda.provider, "onnxruntime_gpu-1.31.1-*.whl", "libonnxruntime_providers_cuda.so"),
    Wheel(
        tensorrt.provider, "onnxruntime_gpu-1.31.1-*.whl", "libonnxruntime_providers_tensorrt.so"
    ),
    Wheel(
        openvino.provider,
        "onnxruntime_openvino-1.24.1-*.whl",
        "libonnxruntime_providers_openvino.so",
    ),
    Wheel(cann.provider, "onnxruntime_cann-1.24.4-*.whl", "libonnxruntime_providers_cann.so"),
]


def library_of(wheel: Wheel) -> bytes:
    """From the environment, else from a downloaded wheel; skips where there is neither."""
    spec = importlib.util.find_spec("onnxruntime")
    installed = Path(spec.origin).parent / "capi" / wheel.binary
    if installed.exists():
        return installed.read_bytes()
    directory = os.environ.get("PLAZA_WHEELS")
    for found in sorted(Path(directory).rglob(wheel.file)) if directory else []:
        with zipfile.ZipFile(found) as opened:
            return opened.read(f"onnxruntime/capi/{wheel.binary}")
    pytest.skip(f"{wheel.file} is neither installed nor in PLAZA_WHEELS")


def seen(key: str, library: bytes) -> str | None:
    """`string`: as a text of its own. `code`: compilers keep texts of 9 to 16 bytes as two numbers,
    its first eight and its last eight bytes, a few instructions apart."""
    word = key.encode()
    if any(not 0x20 < library[at - 1] < 0x7F for at in places(word + b"\0", library)):
        return "string"
    if 9 <= len(word) <= 16 and any(
        word[-8:] in library[at + 8 : at + 64] for at in places(word[:8], library)
    ):
        return "code"
    return None


def places(needle: bytes, library: bytes):
    at = library.find(needle)
    while at >= 0:
        yield at
        at = library.find(needle, at + 1)


def own_keys(provider) -> list[str]:
    return [k for k in provider.schema.model_fields if k not in AcceleratorOptions.model_fields]


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda wheel: wheel.provider.name)
def test_the_library_knows_every_key_that_the_schema_offers(wheel):
    library = library_of(wheel)
    where = {key: seen(key, library) for key in own_keys(wheel.provider)}
    assert where
    assert [key for key, place in where.items() if place is None] == []
    name, page = wheel.provider.name, PAGE.read_text(encoding="utf-8")
    for key, place in where.items():
        assert re.search(
            rf"^\| {name} \| [a-z0-9. -]+ \| `{key}` \| {place} \|$", page, re.MULTILINE
        )
    assert seen("no_such_option_key", library) is None
    assert seen("no_such_opt", library) is None


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda wheel: wheel.provider.name)
def test_the_library_wants_what_the_probe_looks_for(wheel):
    library = library_of(wheel)
    beside = nvidia.LIBRARIES if wheel.provider is tensorrt.provider else ()
    for needed in set(wheel.provider.libraries) - set(beside):
        assert needed.encode() + b"\0" in library
    assert wheel.provider.execution.encode() in library


def test_the_pages_list_every_key():
    options = PAGE.with_name("provider-options.md").read_text(encoding="utf-8")
    assert options == options_page.page()
    page = PAGE.read_text(encoding="utf-8")
    for wheel in WHEELS:
        for key in own_keys(wheel.provider):
            assert f"`{key}`" in page
