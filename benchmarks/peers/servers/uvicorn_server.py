"""Bare uvicorn in front of ONNX Runtime: no key, no limit, no record, nothing.

One process, uvloop and httptools, the model run inline on the loop: for a tiny model the least that
HTTP costs in Python. With WORKERS=2 as many processes as cores, which longer models need.
"""

import os

import orjson
import uvicorn
import work

HEADERS = [(b"content-type", b"application/json")]
model = None


async def app(scope, receive, send):
    global model  # noqa: PLW0603 each worker process opens its own
    if scope["type"] == "lifespan":
        await receive()
        model = work.Model()
        await send({"type": "lifespan.startup.complete"})
        return
    told = answer(model, await read(receive))
    headers = [*HEADERS, (b"content-length", b"%d" % len(told))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told})


async def read(receive):
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


def answer(model, body):
    (found,) = model([model.read(body)])
    return orjson.dumps(found)


if __name__ == "__main__":
    uvicorn.run(
        "uvicorn_server:app",
        port=work.PORT,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="warning",
        workers=int(os.environ.get("WORKERS", "1")),
    )
