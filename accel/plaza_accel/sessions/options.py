"""Every knob of every session that Plaza opens, each with its measured reason.

ONNX Runtime accepts unknown keys and most nonsense values in silence, so each key here was looked
up in the pinned wheel's binary, and tests observe the effect of those whose effect can be seen.
Numbers: onnxruntime 1.31.1, two cores of an AMD EPYC (Zen 5), `python -m benchmarks.knobs`.

Left as ONNX Runtime has them:
- All graph optimisations, made anew at each opening. Keeping the optimised graph in a cache was
  measured and does not pay (docs/decisions/0026).
- Memory patterns (the plan of a run's activations, kept per shape that was seen): off, a 5 ms
  convolution is no faster, and 400 shapes of a classifier cost 0.2 MB.
- Outputs in memory of the run, no IOBinding: it saves 0.1 µs of 2.8, and copying a kept output of
  4 MB for who asked takes 150 µs, making a new one 75.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import onnxruntime

from plaza_accel.sessions import arena

CPU: Final = "CPUExecutionProvider"

_MB = 1 << 20

_ENTRIES: dict[str, str] = {
    # Two threads that spin burn 28 ms of processor per request at 20 ms gaps, that wait 5.7 (a 5 ms
    # convolution, done in 3.0 and 5.5 ms), and that time is somebody else's in a shared replica.
    "session.intra_op.allow_spinning": "0",
    # A 77-byte ConstantOfShape otherwise becomes a gigabyte while the model is being loaded.
    "optimization.constant_folding_max_output_size_in_bytes": str(64 * _MB),
    # Nested local functions double per level; expansion stops here with an error. It is slow to
    # notice (4 s of work at 18 levels), so `walk` computes the same product beforehand.
    "session.function_expansion_node_limit": "50000",
    "session.function_expansion_byte_limit": str(64 * _MB),
    # Which nodes landed on which provider: `get_providers()` only says what was asked for.
    "session.record_ep_graph_assignment_info": "1",
}


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """How to open a session: the execution providers in order, and the threads of one run.

    `strict` refuses a graph of which more than `cpu_share` of the nodes (0 to 1) would land on ONNX
    Runtime's CPU provider. It is off for the provider that is the CPU, and on for every other.
    """

    provider: str
    """Plaza's name, as in pools, certificates and usage records."""
    execution: tuple[str, ...]
    options: tuple[Mapping[str, str], ...] = ()
    """One mapping per execution provider, already checked against the provider's schema."""
    strict: bool = True
    cpu_share: float = 0.0
    ep_devices: tuple[Any, ...] = ()
    """Of a registered library: ONNX Runtime's devices; then nothing is chosen by name."""
    # One thread each: two workers on one session make 414 runs a second at 4.8 ms of processor
    # each, one worker with two threads 374 at 5.1; and the time of a run is then that of the thread
    # that made it, which is what it is billed by.
    intra_op: int = 1
    entries: Mapping[str, str] = field(default_factory=dict)
    """Further session configuration of one provider."""
    shares_arena: bool = False
    """Memory from the arena of this process, where it has one: of the CPU's own kernels only, as
    accelerators have an arena and a limit of their own (`gpu_mem_limit`, `npu_mem_limit`)."""

    @property
    def in_arena(self) -> bool:
        return self.shares_arena and arena.shared()

    def session_options(self, *, lenient: bool = False) -> onnxruntime.SessionOptions:
        """`lenient` lets nodes land on the CPU all the same: to learn which they are."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.intra_op
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        # Native lines carry paths and operator names and reach stderr past our log; 4 is fatal.
        options.log_severity_level = 4
        for key, value in {**_ENTRIES, **self.entries}.items():
            options.add_session_config_entry(key, value)
        if self.strict and not self.cpu_share and not lenient:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if self.in_arena:
            options.add_session_config_entry("session.use_env_allocators", "1")
        if self.ep_devices:
            own = {**self.options[0]} if self.options else {}
            options.add_provider_for_devices(list(self.ep_devices), own)
        return options
