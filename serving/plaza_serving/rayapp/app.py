"""One pool as one Ray Serve application: replicas that hold many models behind a bare ASGI door.

Its arguments never change (a change would restart replicas); models, keys and limits are pulled
from control instead. The same door serves both paths: the bypass of `edge` and Ray Serve's own.
"""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, Any

from ray import serve

from plaza_core.settings import Settings
from plaza_serving.assembly import open_replica
from plaza_serving.closed import ClosedReplica
from plaza_serving.native import loading
from plaza_serving.rayapp import edge
from plaza_serving.rayapp.loopback import bind_to_loopback
from plaza_serving.rayapp.scaling import METRIC
from plaza_serving.replica import Replica

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)


@serve.deployment(name="replica")
@serve.ingress()
class PoolReplica:
    """Ray Serve's handle on a replica. All work is done by what `assembly` puts together."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._replica: Replica | ClosedReplica | None = None
        if Settings().node_ip == "127.0.0.1":
            bind_to_loopback()

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        settings = Settings()
        log.info("the data path is %s", loading.state().value)
        self._replica = replica = await open_replica(settings, pool=self._pool)
        if isinstance(replica, Replica):
            await replica.listen(settings)
            if settings.bypass:
                edge.register(replica.door)
        _leave_alone_what_stays()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await _lifespan(replica, receive, send)
            else:
                await replica.door(scope, receive, send)

        return app

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Ray Serve, for the policy of `scaling`."""
        return {METRIC: 0.0 if self._replica is None else self._replica.mean_wait_ms()}

    def check_health(self) -> None:
        """Called by Ray Serve; raising restarts the replica."""
        if self._replica is not None and not self._replica.live():
            raise RuntimeError("a worker thread has died, or the pool can run now")


def _leave_alone_what_stays() -> None:
    """What was imported and opened lives as long as the process: whoever looks through it for
    garbage does so for nothing. Requests leave hardly any: rarer looks make room for 3 % more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _lifespan(replica: Replica | ClosedReplica, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    edge.register(None)
    await replica.close()
    await send({"type": "lifespan.shutdown.complete"})


def build(args: dict[str, Any]) -> serve.Application:
    """Import path of the application in the Serve config: `args` is `{"pool": NAME}`."""
    deployment: Any = PoolReplica  # to mypy the decorators return the class: Ray has no types
    application: serve.Application = deployment.bind(pool=str(args["pool"]))
    return application
