"""Ports for what tests and measurements start: a block of a thousand for each hub or server.

A block is claimed until it is given back or its process ends, so that whoever chooses at the same
time gets another; that nobody listens in it is looked at too, for the sake of who claims nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from plaza_core.settings import Settings
from plaza_serving.supervisor.claims import claim
from plaza_serving.supervisor.ports import Ports
from plaza_serving.supervisor.sockets import listeners

SIZE = 1_000
NAMES = (
    "http_port",
    "grpc_port",
    "control_port",
    "dashboard_port",
    "ray_port",
    "haproxy_stats_port",
    "haproxy_metrics_port",
)
_PUBLIC = Settings.model_fields["internal_ports"].default
BASES = tuple(base for base in range(10_000, 32_000, SIZE) if base != _PUBLIC)
"""Below the kernel's ephemeral range, and without the block of a hub that was told nothing."""


@dataclass(frozen=True, slots=True)
class Block:
    """Ports from `base` on. Those that a hub listens on outside lie where it uses none inside."""

    base: int

    @property
    def settings(self) -> dict[str, int]:
        """Every port of one hub, as settings."""
        return {**dict(zip(NAMES, self._unused(), strict=False)), "internal_ports": self.base}

    @property
    def environment(self) -> dict[str, str]:
        """The same for a process."""
        return {f"PLAZA_{name.upper()}": str(port) for name, port in self.settings.items()}

    @property
    def spare(self) -> range:
        """For anything else: further pools of the hub, or servers without one."""
        return self._unused()[len(NAMES) :]

    def _unused(self) -> range:
        first, last = Ports.at(self.base).unused
        return range(first, last + 1)


@contextmanager
def own_ports() -> Iterator[Block]:
    """A block that nobody else on this machine is given meanwhile. Each process begins elsewhere:
    where somebody has just stopped, the kernel still keeps connections for a minute."""
    first = os.getpid() % len(BASES)
    for base in (*BASES[first:], *BASES[:first]):
        if held := claim(f"block-{base}"):
            with closing(held):
                if not any(base <= one.port < base + SIZE for one in listeners()):
                    yield Block(base)
                    return
    raise RuntimeError(f"all {len(BASES)} blocks of ports are taken; what still listens there?")
