"""The smallest pool: answers every request with {} and the pid of its replica."""

import os

from ray import serve


async def answer(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"pid": %d}' % os.getpid()})


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
@serve.ingress(lambda: answer)
class Trivial:
    pass


def build(args):
    return Trivial.bind()
