"""The floor: what a hub on Ray Serve would cost if nothing of it were Plaza's.

HAProxy, Serve's replica with its own uvicorn, and the middleware hook through which Plaza answers
too, with all the settings that Plaza gives them; behind it the bare model (`floor_hook`). It says
how much of a bar can be reached at all on Ray Serve, and what Plaza's own part of a request costs.
"""

import os

from plaza_serving.supervisor.environment import quiet

os.environ |= quiet()
os.environ |= {
    # Ports of its own: another Ray Serve is measured beside it.
    "RAY_SERVE_HAPROXY_STATS_PORT": os.environ["GRPC_PORT"],
    "RAY_SERVE_HAPROXY_METRICS_PORT": str(int(os.environ["GRPC_PORT"]) + 1),
    "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(int(os.environ["GRPC_PORT"]) + 2),
    "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(int(os.environ["GRPC_PORT"]) + 20),
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": "131072",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "1000",
    "RAY_enable_metrics_collection": "0",
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.3",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "floor_hook:middlewares",
}

import work
from ray import serve
from ray_alone import serve_until_stopped
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.5})
class Served:
    def __init__(self):
        import floor_hook  # the module that Serve's HTTP server has imported in this process

        floor_hook.model = work.Model()

    async def __call__(self, request: Request):
        raise AssertionError("the hook answers first")


if __name__ == "__main__":
    serve_until_stopped(Served.bind())
