"""The floor's side in a replica: Ray Serve's middleware hook, bare ONNX Runtime behind it.

What `uvicorn_server` does, in the place where Plaza's door stands, with answers in one write as
Plaza's are; nothing of Serve's per-request code runs, no key is read, nothing is written down.
"""

from starlette.middleware import Middleware
from uvicorn_server import HEADERS, computed

from plaza_serving.rayapp.whole import offer
from plaza_serving.reply import WHOLE

model = None
"""Set by the replica of this process."""


class Hook:
    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        if model is None or scope["type"] != "http" or scope["path"].startswith("/-/"):
            await self._app(scope, receive, send)
            return
        offer(scope, send)
        told = await computed(model, receive)
        sent = scope[WHOLE](200, [*HEADERS, (b"content-length", b"%d" % len(told))], told)
        assert sent, "a paused connection: the bench has none"


def middlewares():
    return [Middleware(Hook)]
