"""The built-in provider `tensorrt`: NVIDIA's compiler, through the wheel `onnxruntime-gpu`.

An engine is built per shape, minutes for a large model, so models run in declared shapes only. What
TensorRT does not take may go to CUDA, which counts as the accelerator. No NVIDIA GPU was at hand:
see `cuda.py` for what that means.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import Field

from plaza_accel.contract.needs import Needs
from plaza_accel.providers import nvidia
from plaza_accel.providers.cuda import CudaProvider
from plaza_accel.providers.nvidia import NvidiaOptions, NvidiaProvider

if TYPE_CHECKING:
    from plaza_accel.sessions.options import SessionPlan


NEEDS: Final = replace(nvidia.NEEDS, homes=(*nvidia.NEEDS.homes, "TENSORRT_HOME"))
"""Those of CUDA, on which it runs; its own libraries come from a system package (/usr/lib), or lie
where ONNX Runtime's build page has TENSORRT_HOME point."""


class TensorrtOptions(NvidiaOptions):
    """Keys of ONNX Runtime's TensorRT provider. Caches and their paths are the hub's business."""

    trt_max_workspace_size: int | None = Field(
        None, ge=1 << 20, description="Bytes of scratch memory while an engine is built and run."
    )
    trt_fp16_enable: bool = Field(False, description="Let layers compute in half precision.")
    trt_bf16_enable: bool = Field(False, description="Let layers compute in bfloat16.")
    trt_builder_optimization_level: int = Field(
        3, ge=0, le=5, description="How long to look for faster kernels while building."
    )
    trt_min_subgraph_size: int = Field(
        1, ge=1, le=1000, description="Smaller parts of a graph are left to CUDA."
    )
    trt_auxiliary_streams: int = Field(
        0,
        ge=-1,
        le=16,
        description="Extra streams per run; -1 lets TensorRT choose, 0 least memory.",
    )
    trt_layer_norm_fp32_fallback: bool = Field(
        True, description="Keep layer normalisation exact where half precision is on."
    )


class TensorrtProvider(NvidiaProvider[TensorrtOptions]):
    name: ClassVar[str] = "tensorrt"
    execution: ClassVar[str] = "TensorrtExecutionProvider"
    libraries: ClassVar[tuple[str, ...]] = (
        "libnvinfer.so.10",
        "libnvonnxparser.so.10",
        "libcudnn.so.9",
        *nvidia.LIBRARIES,
    )
    toolkit: ClassVar[str] = (
        "install TensorRT 10 for CUDA 13, and what CUDA needs, where the loader finds them"
    )
    static_shapes: ClassVar[bool] = True

    @property
    def needs(self) -> Needs:
        return NEEDS

    def plan(self) -> SessionPlan:
        beside = {"device_id": str(self.options.device_id)}
        return replace(
            super().plan(),
            execution=(self.execution, CudaProvider.execution),
            options=(self.native_options(), beside),
        )


provider = TensorrtProvider(TensorrtOptions())
