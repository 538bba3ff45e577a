"""What hardware this machine has, looked at without opening it.

Each function returns devices, or raises `NoDevice` with a sentence an operator can act on. No
device memory is allocated, nothing is initialised that a later session could trip over.
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import Final

from plaza_accel.contract.provider import Device

_DEV: Final = Path("/dev")


class NoDevice(Exception):
    """The sentence says what is missing and what to do about it."""


def processor() -> Device:
    """The processor by the name it gives itself, with the memory of the machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return Device("processor", "cpu")
    return Device(names[0] if names else "processor", "cpu", memory)


def nvidia(driver: str = "libcuda.so.1") -> tuple[Device, ...]:
    """NVIDIA GPUs as the driver shows them to this process (CUDA_VISIBLE_DEVICES counts)."""
    try:
        cuda = ctypes.CDLL(driver)
        status = cuda.cuInit(0)
    except (OSError, AttributeError):
        raise NoDevice(
            "no NVIDIA driver answers on this node (libcuda.so.1 is missing): run it on a node "
            "with an NVIDIA GPU, or install the driver there"
        ) from None
    count = ctypes.c_int(0)
    if status != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        raise NoDevice(
            f"the NVIDIA driver shows no GPU to this process (status {status}): look at "
            "nvidia-smi, at CUDA_VISIBLE_DEVICES, and at the pool's Ray resource GPU"
        )
    return tuple(_gpu(cuda, index) for index in range(count.value))


def _gpu(cuda: ctypes.CDLL, index: int) -> Device:
    handle, memory = ctypes.c_int(0), ctypes.c_size_t(0)
    name = ctypes.create_string_buffer(96)
    if cuda.cuDeviceGet(ctypes.byref(handle), index) != 0:
        raise NoDevice(f"the NVIDIA driver does not open GPU {index}: look at nvidia-smi")
    cuda.cuDeviceGetName(name, len(name), handle)
    known = cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), handle) == 0
    text = name.value.decode(errors="replace") or f"GPU {index}"
    return Device(text, "gpu", memory.value if known else None)


def ascend(dev: Path = _DEV) -> tuple[Device, ...]:
    """Ascend NPUs by their device files. Their memory cannot be told without opening them."""
    found = sorted(
        int(match[1]) for entry in _entries(dev) if (match := re.fullmatch(r"davinci(\d+)", entry))
    )
    if not found:
        raise NoDevice(
            "no Ascend NPU is on this node (no /dev/davinci0): run it on a node that has one, with "
            "the Ascend driver, the CANN toolkit and an environment of the extra 'ort-cann'; in a "
            "container, hand the device in"
        )
    return tuple(Device(f"Ascend NPU {index}", "npu") for index in found)


def intel(kind: str, dev: Path = _DEV) -> tuple[Device, ...]:
    """Intel GPUs (`gpu`) or NPUs (`npu`) by their device files."""
    folder, pattern = (
        (dev / "dri", r"renderD\d+") if kind == "gpu" else (dev / "accel", r"accel\d+")
    )
    found = sorted(entry for entry in _entries(folder) if re.fullmatch(pattern, entry))
    if not found:
        raise NoDevice(
            f"no {kind.upper()} device is on this node (nothing in /dev/{folder.name}): set "
            "device_type to CPU, or run it on a node with an Intel "
            f"{kind.upper()} whose driver is loaded"
        )
    return tuple(Device(f"{kind.upper()} {entry}", kind) for entry in found)


def first_unloadable(libraries: tuple[str, ...]) -> str | None:
    """The first shared library that the loader cannot find or load, or None."""
    for library in libraries:
        try:
            ctypes.CDLL(library)
        except OSError:
            return library
    return None


def _entries(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
