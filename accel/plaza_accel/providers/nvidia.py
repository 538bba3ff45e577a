"""What the providers on NVIDIA GPUs share: driver, toolkit, which GPU, the wheel they are in."""

from __future__ import annotations

from typing import ClassVar, Final

from pydantic import Field

from plaza_accel.contract.needs import Needs
from plaza_accel.contract.provider import AcceleratorOptions, Device
from plaza_accel.providers import devices
from plaza_accel.providers.classic import ClassicProvider
from plaza_accel.providers.mechanism import OptionsT

LIBRARIES: Final = ("libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10")
"""What CUDA's library in onnxruntime-gpu 1.31.1 is linked against and does not bring."""

NEEDS: Final = Needs(
    readable=(
        "/usr/local/cuda",
        "/usr/local/nvidia",
        "/proc/driver/nvidia",
        "/proc/driver/nvidia-caps",
        "/proc/devices",
        "/sys/devices/system",
    ),
    devices=(
        "/dev/nvidia[0-9]*",
        "/dev/nvidiactl",
        "/dev/nvidia-uvm",
        "/dev/nvidia-caps/*",
    ),
    variables=(
        "LD_LIBRARY_PATH",
        "CUDA_VISIBLE_DEVICES",
        "CUDA_DEVICE_ORDER",
        "CUDA_MODULE_LOADING",
        "NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_TF32_OVERRIDE",
    ),
    homes=("CUDA_HOME", "CUDA_PATH"),
    limit_addresses=False,
)
"""Of the driver and the toolkit. Device files: gVisor's proposal of a proxy for NVIDIA's driver
calls nvidiactl, nvidia0 …, nvidia-uvm and /proc/driver/nvidia/params required, and NVIDIA's MIG
guide adds nvidia-caps for parts of a GPU; profilers' nvidia-uvm-tools, displays' nvidia-modeset and
the switches' devices, which the container toolkit lists too, are left out. Variables: the CUDA
programming guide. Addresses: NVIDIA's MPS guide, that making a context reserves the unified address
range. Trees are where installers put the toolkit; that the driver looks into /proc/devices and
/sys/devices/system (processors, memory) is supposed, not known."""


class NvidiaOptions(AcceleratorOptions):
    """Options of whatever runs on a GPU of NVIDIA."""

    weight: int = Field(
        20, ge=1, le=100_000, description="Compute units charged per microsecond of the GPU."
    )
    device_id: int = Field(
        0,
        ge=0,
        le=63,
        description="Which of the GPUs that this process sees; Ray shows it its own.",
    )


class NvidiaProvider(ClassicProvider[OptionsT]):
    """Base of the providers in the wheel `onnxruntime-gpu`."""

    extra: ClassVar[str] = "ort-cuda"
    ray: ClassVar[str | None] = "GPU"

    @property
    def needs(self) -> Needs:
        return NEEDS

    def look(self) -> tuple[Device, ...]:
        return devices.nvidia()
