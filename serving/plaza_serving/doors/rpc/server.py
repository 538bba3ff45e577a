"""The gRPC listener of one replica.

Every replica of a pool on a node binds the same port, and the kernel deals connections out among
them (SO_REUSEPORT): no proxy, no second hop, and a replica that dies takes only its connections
along, which clients open again. Why this and not the ingress: docs/decisions/0027-grpc.md.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import grpc.aio

from plaza_core.errors import Unavailable
from plaza_core.settings import Settings
from plaza_serving.doors.rpc import health
from plaza_serving.doors.rpc.door import GrpcDoor

_CALLS_OF_A_CONNECTION = 256
_ENVELOPE = 1 << 16
"""What a message may have beside its tensors."""
_DRAIN_S = 3.0
_METADATA_BYTES = 16 << 10


class GrpcListener:
    """A door on a port."""

    def __init__(self, server: Any, port: int) -> None:
        self._server = server
        self.port = port

    async def close(self) -> None:
        """Accept nothing more; calls that run get 3 s, then they are cancelled."""
        await self._server.stop(_DRAIN_S)


async def listen(door: GrpcDoor, settings: Settings, port: int) -> GrpcListener:
    """Bind `settings.listen` and answer. Port 0 takes a free one. Raises Unavailable when taken."""
    server = grpc.aio.server(
        handlers=(door.handlers(), health.handlers(door.serving)),
        options=_options(settings),
        maximum_concurrent_rpcs=max(1024, 2 * settings.queue_limit),
    )
    try:
        bound = server.add_insecure_port(_address(settings.listen, port))
    except RuntimeError:
        raise Unavailable(f"port {port} for gRPC cannot be bound at {settings.listen}") from None
    await server.start()
    return GrpcListener(server, bound)


def _address(host: str, port: int) -> str:
    try:
        six = ipaddress.ip_address(host).version == 6
    except ValueError:
        six = False
    return f"[{host}]:{port}" if six else f"{host}:{port}"


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", (settings.max_body_mb << 20) + _ENVELOPE),
        ("grpc.max_send_message_length", (settings.max_answer_mb << 20) + _ENVELOPE),
        ("grpc.max_concurrent_streams", _CALLS_OF_A_CONNECTION),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
        # A peer that vanished without a word is noticed, and its calls are cancelled.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Clients may ask whether we are there as often as that; the default is five minutes, and
        # whoever asks more often is thrown out.
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
