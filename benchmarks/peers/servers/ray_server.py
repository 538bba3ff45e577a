"""Ray Serve alone: one deployment, a replica per core, starlette's request in, bytes out.

With TUNED=1 the ingress and the flags that its guide for high throughput names, else as it comes.
"""

import os

if os.environ.get("TUNED"):
    os.environ |= {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    }

import orjson
import work
from ray import serve
from ray_alone import serve_until_stopped
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(
    num_replicas=work.CORES, max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.5}
)
class Served:
    def __init__(self):
        self.model = work.Model()

    async def __call__(self, request: Request):
        (found,) = self.model([self.model.read(await request.body())])
        return Response(orjson.dumps(found), media_type="application/json")


@serve.deployment(
    num_replicas=work.CORES, max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.5}
)
class Joining(Served.func_or_class):
    @serve.batch(max_batch_size=max(2, work.BATCH), batch_wait_timeout_s=0.001)
    async def together(self, values):
        return self.model(values)

    async def __call__(self, request: Request):
        found = await self.together(self.model.read(await request.body()))
        return Response(orjson.dumps(found), media_type="application/json")


if __name__ == "__main__":
    served = Joining if work.BATCH > 1 else Served
    serve_until_stopped(served.bind())
