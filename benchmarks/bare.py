"""The peer of `make bench`: bare uvicorn in front of ONNX Runtime, nothing else.

One process, uvloop and httptools, the model run inline on the loop. It reads and writes the same
Open Inference bodies as Plaza's door but checks no key, no limit, no signature, and records
nothing: what the front door costs is the distance to this.

    python -m benchmarks.bare PORT BUNDLE_DIRECTORY
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvicorn

from plaza_accel.providers.cpu import provider
from plaza_core.manifest import MANIFEST_FILE, parse_manifest


def app_for(directory: Path) -> Any:
    runner = provider.open(directory, parse_manifest((directory / MANIFEST_FILE).read_bytes()))
    output = runner.signature.outputs[0].name

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        head = int(dict(scope["headers"]).get(b"inference-header-content-length", len(body)))
        given = orjson.loads(body[:head])["inputs"][0]
        if head < len(body):
            array = np.frombuffer(body, np.float32, offset=head).reshape(given["shape"])
        else:
            array = np.array(given["data"], np.float32).reshape(given["shape"])
        result = runner.run({given["name"]: array})[output]
        answer = orjson.dumps(
            {
                "model_name": directory.name,
                "outputs": [
                    {
                        "name": output,
                        "datatype": "FP32",
                        "shape": list(result.shape),
                        "data": result.ravel().tolist(),
                    }
                ],
            }
        )
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


if __name__ == "__main__":
    uvicorn.run(
        app_for(Path(sys.argv[2])),
        port=int(sys.argv[1]),
        log_level="error",
        access_log=False,
        lifespan="off",
        loop="uvloop",
        http="httptools",
    )
