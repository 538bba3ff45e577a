"""The floor's side in a replica: Ray Serve's middleware hook, bare ONNX Runtime behind it.

What `uvicorn_server` does, in the place where Plaza's door stands and over the same protocol;
nothing of Serve's per-request code runs, no key is read, nothing is written down. With
THREADS the model runs in so many, and who comes while `QUEUE` are inside is refused.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from starlette.middleware import Middleware
from uvicorn_server import HEADERS, answer, read

from plaza_serving.rayapp import protocol
from plaza_serving.reply import WHOLE

QUEUE = 96
THREADS = int(os.environ.get("THREADS", "0"))
model = None
"""Set by the replica of this process."""
pool = ThreadPoolExecutor(THREADS) if THREADS else None
inside = 0


def owner(scope):
    owned = model is not None and scope["type"] == "http" and not scope["path"].startswith("/-/")
    return answered if owned else None


async def answered(scope, receive, send):
    status, told = await _answered(receive)
    headers, whole = [*HEADERS, (b"content-length", b"%d" % len(told))], scope.get(WHOLE)
    if whole is None or not whole(status, headers, told):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": told})


class Hook:
    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        await (owner(scope) or self._app)(scope, receive, send)


async def _answered(receive):
    global inside  # noqa: PLW0603 of this process, and on one loop
    body = await read(receive)
    if pool is None:
        return 200, answer(model, body)
    if inside >= QUEUE:
        return 503, b"{}"
    inside += 1
    try:
        return 200, await asyncio.get_running_loop().run_in_executor(pool, answer, model, body)
    finally:
        inside -= 1


def middlewares():
    protocol.install(owner)
    return [Middleware(Hook)]
