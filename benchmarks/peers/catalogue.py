"""The peers: what each program can take, and how its makers say that it goes fastest.

`tuning` holds what differs by model of what the documentation offers: workers as many as cores, and
requests joined or not. `docs/benchmarks.md` says it in words.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import environments

HERE = Path(__file__).parent
SERVERS = HERE / "servers"
LOCKS = HERE / "locks"
CORES = str(os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    title: str
    program: str
    """Its file under `servers`, without `_server.py`."""
    dialects: dict[str, tuple[str, ...]]
    """For each kind of model (`tensor`, `picture`, `texts`) what it takes."""
    tuning: dict[str, dict[str, str]] = field(default_factory=dict)
    """Environment of its program by model."""
    settings: dict[str, str] = field(default_factory=dict)
    """Environment of its program, always."""
    freezes: bool = True
    """Whether its processes may be stopped while others are measured."""

    @property
    def script(self) -> Path:
        return SERVERS / f"{self.program}_server.py"

    @property
    def lock(self) -> Path | None:
        """None for what runs in the hub's own environment."""
        lock = LOCKS / f"{self.program}.txt"
        return lock if lock.exists() else None

    def packages(self) -> tuple[str, ...]:
        """What the program says it needs, where it has an environment of its own."""
        said = environments.said(self.script) if self.lock else None
        return tuple(said["dependencies"]) if said else ()


FLOOR = "floor"
"""Not a server that anybody could choose: no bar is against it."""
_RAW = {"tensor": ("json", "binary"), "picture": ("binary",), "texts": ("json",)}

PEERS = (
    Peer(
        "uvicorn",
        "bare uvicorn + ONNX Runtime",
        "uvicorn",
        _RAW,
        tuning={
            "conv": {"WORKERS": CORES},
            "detector": {"WORKERS": CORES},
            "embedder": {"WORKERS": CORES},
            "encoder": {"WORKERS": CORES},
        },
    ),
    Peer("mosec", "mosec 0.9.8", "mosec", _RAW),
    Peer(
        "mlserver",
        "MLServer 1.7.1",
        "mlserver",
        {"tensor": ("json", "grpc"), "picture": ("json",), "texts": ("json",)},
        tuning={model: {"WORKERS": CORES} for model in ("conv", "detector", "encoder")},
    ),
    Peer("litserve", "LitServe 0.2.19", "litserve", _RAW),
    Peer("bentoml", "BentoML 1.4.39", "bentoml", _RAW),
    Peer("ray", "Ray Serve 2.60, as it comes", "ray", _RAW),
    Peer(
        "ray-tuned",
        "Ray Serve 2.60, high-throughput settings",
        "ray",
        _RAW,
        settings={"TUNED": "1"},
    ),
    Peer(
        FLOOR,
        "the floor: Ray Serve's ingress and hook, bare model",
        "floor",
        _RAW,
        tuning={model: {"THREADS": CORES} for model in ("conv", "slow", "detector", "encoder")},
    ),
)
