"""The built-in provider `cuda`: NVIDIA GPUs through the wheel `onnxruntime-gpu`.

No NVIDIA GPU was at hand: option keys were read in the wheel (docs/providers.md), the probe and its
refusals are tested, and nothing here claims to have run.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field

from plaza_accel.contract.needs import Needs
from plaza_accel.contract.provider import AcceleratorOptions, Device
from plaza_accel.providers.classic import ClassicProvider
from plaza_accel.providers.devices import nvidia

LIBRARIES: Final = ("libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10")
"""What the provider's library in onnxruntime-gpu 1.31.1 is linked against and does not bring."""

TOOLKIT: Final = (
    "install the CUDA 13 runtime and cuDNN 9 on the node and have them on the loader's path"
)


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


class CudaOptions(AcceleratorOptions):
    """Keys of ONNX Runtime's CUDA provider. Pointers and paths are the hub's business, not here."""

    weight: int = Field(
        20, ge=1, le=100_000, description="Compute units charged per microsecond of the GPU."
    )
    device_id: int = Field(
        0,
        ge=0,
        le=63,
        description="Which of the GPUs that this process sees; Ray shows it its own.",
    )
    gpu_mem_limit: int | None = Field(
        None, ge=1 << 20, description="Bytes that the arena may take; unset: the whole GPU."
    )
    arena_extend_strategy: Literal["kNextPowerOfTwo", "kSameAsRequested"] = Field(
        "kSameAsRequested",
        description="How the arena grows; the other doubles, and starves a neighbour.",
    )
    cudnn_conv_algo_search: Literal["EXHAUSTIVE", "HEURISTIC", "DEFAULT"] = Field(
        "HEURISTIC",
        description="How cuDNN's algorithm is chosen; EXHAUSTIVE tries all per new shape.",
    )
    cudnn_conv_use_max_workspace: bool = Field(
        True, description="Let convolutions take as much scratch memory as the fastest needs."
    )
    do_copy_in_default_stream: bool = Field(
        True,
        description="Copies wait for computation; off is faster and not safe with all drivers.",
    )
    use_tf32: bool = Field(
        False, description="Multiply matrices in TensorFloat-32: faster, 10 bits of mantissa."
    )
    prefer_nhwc: bool = Field(False, description="Convert convolutions to channels-last.")
    enable_cuda_graph: bool = Field(
        False, description="Capture and replay; needs fixed shapes and addresses."
    )


class CudaProvider(ClassicProvider[CudaOptions]):
    name: ClassVar[str] = "cuda"
    execution: ClassVar[str] = "CUDAExecutionProvider"
    extra: ClassVar[str] = "ort-cuda"
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    toolkit: ClassVar[str] = TOOLKIT
    ray: ClassVar[str | None] = "GPU"

    @property
    def needs(self) -> Needs:
        return NEEDS

    def look(self) -> tuple[Device, ...]:
        return nvidia()


provider = CudaProvider(CudaOptions())
