"""The built-in provider `cuda`: NVIDIA GPUs through the wheel `onnxruntime-gpu`.

No NVIDIA GPU was at hand: option keys were read in the wheel (docs/providers.md), the probe and its
refusals are tested, and nothing here claims to have run.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from plaza_accel.providers.nvidia import LIBRARIES, NvidiaOptions, NvidiaProvider


class CudaOptions(NvidiaOptions):
    """Keys of ONNX Runtime's CUDA provider. Pointers and paths are the hub's business, not here."""

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


class CudaProvider(NvidiaProvider[CudaOptions]):
    name: ClassVar[str] = "cuda"
    execution: ClassVar[str] = "CUDAExecutionProvider"
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    toolkit: ClassVar[str] = (
        "install the CUDA 13 runtime and cuDNN 9 on the node and have them on the loader's path"
    )


provider = CudaProvider(CudaOptions())
