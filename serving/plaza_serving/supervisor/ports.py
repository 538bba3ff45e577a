"""Every TCP port of one installation, so that two of them can live on one machine."""

from __future__ import annotations

from dataclasses import dataclass

from plaza_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Ports:
    """The block of `internal_ports`, divided up. Ranges include both ends."""

    agent_http: int
    agent_grpc: int
    agent_environments: int
    raylet: int
    object_manager: int
    metrics: int
    dashboard_metrics: int
    fallback_http: int
    fallback_grpc: int
    unused: tuple[int, int]
    replicas_http: tuple[int, int]
    replicas_grpc: tuple[int, int]
    workers: tuple[int, int]

    @classmethod
    def of(cls, settings: Settings) -> Ports:
        return cls.at(settings.internal_ports)

    @classmethod
    def at(cls, base: int) -> Ports:
        agents = (base, base + 1, base + 2)
        return cls(
            *agents,
            raylet=base + 3,
            object_manager=base + 4,
            metrics=base + 5,
            dashboard_metrics=base + 6,
            fallback_http=base + 7,
            fallback_grpc=base + 8,
            unused=(base + 9, base + 99),
            replicas_http=(base + 100, base + 199),
            replicas_grpc=(base + 200, base + 299),
            workers=(base + 300, base + 999),
        )


def fixed_ports(settings: Settings) -> dict[int, str]:
    """Port -> what it is for, of everything that must be free before a start."""
    inside = Ports.of(settings)
    return {
        **{port: f"inference over gRPC, pool '{name}'" for name, port in grpc_ports(settings)},
        settings.http_port: "inference over HTTP",
        settings.control_port: "control",
        settings.dashboard_port: "Ray's REST API",
        settings.ray_port: "Ray's GCS",
        settings.haproxy_stats_port: "HAProxy's statistics",
        settings.haproxy_metrics_port: "HAProxy's exporter",
        inside.agent_http: "Ray's agent (HTTP)",
        inside.agent_grpc: "Ray's agent (gRPC)",
        inside.agent_environments: "Ray's environment agent",
        inside.raylet: "Ray's raylet",
        inside.object_manager: "Ray's object manager",
        inside.metrics: "Ray's metrics",
        inside.dashboard_metrics: "Ray's dashboard metrics",
        inside.fallback_http: "Serve's fallback proxy (HTTP)",
        inside.fallback_grpc: "Serve's fallback proxy (gRPC)",
    }


def grpc_ports(settings: Settings) -> list[tuple[str, int]]:
    """(pool, port) of the pools that answer gRPC, the main pool first."""
    return [(p.name, p.grpc_port) for p in settings.all_pools if p.grpc_port is not None]
