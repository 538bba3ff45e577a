"""What certificates are keyed by besides the bundle: this process's provider, runtime and machine.

Asked in the process that runs models, whichever interpreter that is: a replica of a pool, or the
sandboxed child that certifies for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from plaza_accel.provider import AcceleratorProvider
from plaza_core.certificate import Environment
from plaza_core.plugins import ACCELERATORS, available

_OURS: Final = "plaza-hub"
"""The distribution whose providers come with ONNX Runtime's own wheels."""

_PREFIXES: Final = ("avx", "amx", "sse4", "sve", "bf16", "i8mm", "rvv")
_NAMES: Final = frozenset({"fma", "f16c", "asimd", "asimddp", "asimdhp", "fphp", "neon"})


def environment_of(provider: AcceleratorProvider) -> Environment:
    """Where this process would run models on `provider`. Imports ONNX Runtime."""
    from plaza_accel.native import RUNTIME

    return Environment(
        provider=provider.name,
        provider_version=_distribution(provider.name) or RUNTIME,
        runtime=RUNTIME,
        device=" + ".join(device.name for device in provider.probe().devices)[:256],
        cpu_features=cpu_features(_cpuinfo()),
    )


def cpu_features(cpuinfo: str) -> str:
    """The instruction sets of `/proc/cpuinfo` that kernels for neural networks are chosen by.

    Not all flags: a new kernel names more of them without the processor being another one. x86
    writes `flags`, ARM `Features`.
    """
    for line in cpuinfo.splitlines():
        word, _, flags = line.partition(":")
        if word.strip() in {"flags", "Features"}:
            chosen = {f for f in flags.split() if f in _NAMES or f.startswith(_PREFIXES)}
            return " ".join(sorted(chosen))
    return ""


def _distribution(name: str) -> str:
    """`NAME VERSION` of the wheel that brings a provider; "" where that is nobody's."""
    point = available(ACCELERATORS).get(name)
    if point is not None and point.dist is not None and point.dist.name != _OURS:
        return f"{point.dist.name} {point.dist.version}"
    try:
        from onnxruntime.capi import build_and_package_info as built
    except ImportError:  # built from source without a wheel
        return ""
    return f"{built.package_name} {built.__version__}"


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
