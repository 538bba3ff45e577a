"""One arena of memory for every session of this process on the CPU, with a cap that is hard.

    weights, packed weights ──reserved──┐
    activations of runs     ──pieces────┴──▶ the arena: cap = the byte budget of a replica

By itself each session keeps the peak of its largest run for good; together they keep one peak per
run at a time. Six sessions of 48 MB peak each, run in turn: +315 MB resident on their own, +52 MB
with one arena (`benchmarks/knobs.py`). A run that would pass the cap fails alone.

Owns two facts about ONNX Runtime 1.31 that its documentation does not tell. The cap counts weights
but does not stop them, and once they alone exceed it, it stops nothing any more: so the cap must be
what the host admits models by. And a full arena may be free but in pieces of the wrong sizes:
`give_back` returns them to the system (0.1 ms).

A run that finds it full is made once more, alone (`turns`) and after giving back. So who fails does
not fit beside the weights of the open models, and nobody fails for what a neighbour takes.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

import numpy as np
import onnxruntime

from plaza_accel.sessions.turns import Turns

_log = logging.getLogger(__name__)

_TWICE_AS_LARGE: Final = 0
"""How the arena grows. In steps of what is asked for (1) it was in pieces sooner: 24 rows of a
model failed under a cap under which they ran with steps that double."""
_DEFAULT: Final = -1

# y = Identity(x) on one float, IR 10, opset 20: a run of it is the only way to reach the arena.
_NOTHING: Final = bytes.fromhex(
    "080a3a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a0208016"
    "20f0a0179120a0a08080112040a02080142040a001014"
)

_lock = threading.Lock()
_cap: int | None = None
_nothing: onnxruntime.InferenceSession | None = None
turns: Final = Turns()
"""Of all runs that share the arena."""


def share(cap_bytes: int) -> bool:
    """Make the arena of this process; sessions planned to share it do so from here on.

    Once per process: False, and nothing changes, where there is one of another cap.
    """
    global _cap, _nothing  # noqa: PLW0603 ONNX Runtime's environment is one per process, too
    with _lock:
        if _cap is None:
            _register(cap_bytes)
            _cap = cap_bytes
            _nothing = _session_of_nothing()
        elif _cap != cap_bytes:
            _log.warning("the arena of this process stays at %d MB", _cap >> 20)
        return _cap == cap_bytes


def shared() -> bool:
    return _cap is not None


def give_back() -> bool:
    """Return to the system what the arena holds and nobody uses; False where there is none."""
    if _nothing is None:
        return False
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    _nothing.run(["y"], {"x": np.zeros(1, np.float32)}, options)
    return True


def _register(cap_bytes: int) -> None:
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    info = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    arena = onnxruntime.OrtArenaCfg(
        {
            "max_mem": cap_bytes,
            "arena_extend_strategy": _TWICE_AS_LARGE,
            "initial_chunk_size_bytes": _DEFAULT,
            "max_dead_bytes_per_chunk": _DEFAULT,
        }
    )
    onnxruntime.create_and_register_allocator(info, arena)


def _session_of_nothing() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.use_env_allocators", "1")
    return onnxruntime.InferenceSession(_NOTHING, options, providers=["CPUExecutionProvider"])
