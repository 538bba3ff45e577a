"""gRPC's own health check, `grpc.health.v1.Health/Check`, as orchestrators and proxies ask it.

Without a key, like the two questions of the protocol itself. `Watch` is left out, as the protocol
allows: whoever calls it is told UNIMPLEMENTED and asks `Check` from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from plaza_serving.doors.rpc.schema import SERVICE, Schema

_HEALTH = "grpc.health.v1.Health"
_SCHEMA = Schema("""
    syntax = "proto3"; package grpc.health.v1;
    message HealthCheckRequest { string service = 1; }
    message HealthCheckResponse { ServingStatus status = 1; }
    enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; }
""")
_SERVING, _NOT_SERVING = 1, 2


def handlers(serving: Callable[[], bool]) -> Any:
    """What a gRPC server is given; `serving` says whether requests are answered now."""
    request, response = (_SCHEMA.messages[f"HealthCheck{way}"] for way in ("Request", "Response"))

    async def check(asked: Any, context: Any) -> Any:
        if asked.service not in {"", SERVICE}:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return response(status=_SERVING if serving() else _NOT_SERVING)

    handler = grpc.unary_unary_rpc_method_handler(
        check, request_deserializer=request.FromString, response_serializer=_serialised
    )
    return grpc.method_handlers_generic_handler(_HEALTH, {"Check": handler})


def _serialised(message: Any) -> bytes:
    made: bytes = message.SerializeToString()
    return made
