"""Session options of every session that Plaza opens, with the reason for each.

ONNX Runtime accepts unknown keys and most nonsense values in silence, so each key here was looked
up in the pinned wheel's binary, and tests observe the effect of those whose effect can be seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import onnxruntime

CPU: Final = "CPUExecutionProvider"

_MB = 1 << 20

_ENTRIES: dict[str, str] = {
    # A spinning pool burns 27–30 ms of CPU per request at 20 ms gaps instead of 7–9 (12.8 MB
    # convolution, 2 cores), and that time would be somebody else's in a shared replica.
    "session.intra_op.allow_spinning": "0",
    "session.inter_op.allow_spinning": "0",
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
    intra_op: int = 1
    inter_op: int = 1
    entries: Mapping[str, str] = field(default_factory=dict)
    """Further session configuration of one provider."""

    def session_options(self, *, lenient: bool = False) -> onnxruntime.SessionOptions:
        """`lenient` lets nodes land on the CPU all the same: to learn which they are."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.intra_op
        options.inter_op_num_threads = self.inter_op
        # Native lines carry paths and operator names and reach stderr past our log; 4 is fatal.
        options.log_severity_level = 4
        for key, value in {**_ENTRIES, **self.entries}.items():
            options.add_session_config_entry(key, value)
        if self.strict and not self.cpu_share and not lenient:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if self.ep_devices:
            own = {**self.options[0]} if self.options else {}
            options.add_provider_for_devices(list(self.ep_devices), own)
        return options
