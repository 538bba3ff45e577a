"""What certificates are keyed by besides the bundle: this process's provider, runtime and machine.

Asked in the process that runs models, whichever interpreter that is: a replica of a pool, or the
sandboxed child that certifies for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from plaza_accel.contract.provider import AcceleratorProvider
from plaza_core.certificate import Environment

_PREFIXES: Final = ("avx", "amx", "sse4", "sve", "bf16", "i8mm", "rvv")
_NAMES: Final = frozenset({"fma", "f16c", "asimd", "asimddp", "asimdhp", "fphp", "neon"})


def environment_of(provider: AcceleratorProvider) -> Environment:
    """Where this process would run models on `provider`. Imports ONNX Runtime."""
    versions = provider.versions()
    return Environment(
        provider=provider.name,
        provider_version=versions.provider,
        runtime=versions.runtime,
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


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
