"""The built-in provider `cann`: Huawei Ascend NPUs through the wheel `onnxruntime-cann`.

CANN compiles a graph per shape, so models run in declared shapes only. The wheel imports without
the toolkit, lists its provider, and would then run on the CPU in silence; the probe and the strict
session are against that. No Ascend NPU was at hand: option keys were read in the wheel
(docs/providers.md), the probe and its refusals are tested, and nothing here claims to have run.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field

from plaza_accel.contract.needs import Needs
from plaza_accel.contract.provider import AcceleratorOptions, Device
from plaza_accel.providers.classic import ClassicProvider
from plaza_accel.providers.devices import ascend

NEEDS: Final = Needs(
    readable=(
        "/usr/local/Ascend",
        "/usr/local/dcmi",
        "/etc/ascend_install.info",
        "/etc/Ascend",
        "/etc/hdcBasic.cfg",
        "/etc/sys_version.conf",
        "/sys/devices/system/node",
    ),
    devices=(
        "/dev/davinci[0-9]*",
        "/dev/vdavinci[0-9]*",
        "/dev/davinci_manager",
        "/dev/devmm_svm",
        "/dev/hisi_hdc",
        "/dev/svm0",
        "/dev/ts_aisle",
        "/dev/dvpp_cmdlist",
    ),
    variables=(
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "ASCEND_RT_VISIBLE_DEVICES",
        "ASCEND_VISIBLE_DEVICES",
        "ASCEND_DEVICE_ID",
        "ASCEND_GLOBAL_LOG_LEVEL",
        "ASCEND_SLOG_PRINT_TO_STDOUT",
        "ASCEND_OPP_PATH",
        "ASCEND_AICPU_PATH",
        "TOOLCHAIN_HOME",
        "TE_PARALLEL_COMPILER",
    ),
    homes=("ASCEND_TOOLKIT_HOME", "ASCEND_HOME_PATH"),
    limit_addresses=False,
)
"""Device files and files of the driver: what Huawei's page on Ascend Docker Runtime lists as handed
into a container by default, less what decodes video, logs and upgrades. Variables: those that
set_env.sh of the toolkit sets (PYTHONPATH for the compiler of operators, which is Python), and
Huawei's reference of environment variables. Addresses: devmm_svm shares an address range with the
device as CUDA's unified memory does; that it reserves it whole is supposed, not known."""


class CannOptions(AcceleratorOptions):
    """Keys of ONNX Runtime's CANN provider. What writes files (dump_graphs …) is not offered."""

    weight: int = Field(
        20, ge=1, le=100_000, description="Compute units charged per microsecond of the NPU."
    )
    device_id: int = Field(
        0,
        ge=0,
        le=63,
        description="Which of the NPUs that this process sees; Ray shows it its own.",
    )
    npu_mem_limit: int | None = Field(
        None, ge=1 << 20, description="Bytes that the arena may take; unset: the whole NPU."
    )
    arena_extend_strategy: Literal["kNextPowerOfTwo", "kSameAsRequested"] = Field(
        "kSameAsRequested",
        description="How the arena grows; the other doubles, and starves a neighbour.",
    )
    enable_cann_graph: bool = Field(
        True, description="Compile the graph as a whole; off: one operator at a time."
    )
    enable_cann_subgraph: bool = Field(
        False, description="Compile the parts that can be, where the whole cannot."
    )
    precision_mode: Literal["force_fp32", "force_fp16", "allow_fp32_to_fp16"] | None = Field(
        None, description="What operators compute in; unset: the toolkit's choice."
    )
    op_select_impl_mode: Literal["high_precision", "high_performance"] | None = Field(
        None, description="Which implementations of operators are preferred."
    )


class CannProvider(ClassicProvider[CannOptions]):
    name: ClassVar[str] = "cann"
    execution: ClassVar[str] = "CANNExecutionProvider"
    extra: ClassVar[str] = "ort-cann"
    libraries: ClassVar[tuple[str, ...]] = (
        "libascendcl.so",
        "libacl_op_compiler.so",
        "libfmk_onnx_parser.so",
    )
    toolkit: ClassVar[str] = (
        "install the CANN toolkit on the node and start Plaza after its set_env.sh, so that the "
        "loader finds it"
    )
    ray: ClassVar[str | None] = "NPU"
    static_shapes: ClassVar[bool] = True

    @property
    def needs(self) -> Needs:
        return NEEDS

    def look(self) -> tuple[Device, ...]:
        return ascend()


provider = CannProvider(CannOptions())
