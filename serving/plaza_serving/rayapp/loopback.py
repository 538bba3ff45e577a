"""Keeps a replica's port for calls between deployments on loopback.

Ray Serve binds it to every interface, whatever the address of the node. It is the one socket of a
single node that no setting reaches; everything else follows `node_ip` (see `plaza doctor`).
"""

from __future__ import annotations

from typing import Any

from ray.serve._private import replica

_ANYWHERE = "[::]:"
_HERE = "127.0.0.1:"


def bind_to_loopback() -> None:
    """From now on this process opens that port for itself only. Call it before Serve does."""
    bind = replica.add_port_to_grpc_server

    def bind_here(server: Any, address: str) -> int:
        port: int = bind(server, address.replace(_ANYWHERE, _HERE))
        return port

    replica.add_port_to_grpc_server = bind_here
