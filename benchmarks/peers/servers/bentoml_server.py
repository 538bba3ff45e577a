# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "bentoml==1.4.39", "onnxruntime==1.31.1", "numpy==2.4.6", "pillow==13.0.0", "orjson",
#   "pydantic", "pyyaml", "msgspec", "tokenizers==0.23.3",
# ]
# ///
"""BentoML: a worker process per core, no adaptive batching: these texts gain nothing from it."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import bentoml
import numpy as np
import work
from bentoml.validators import ContentType

_SERVICE = bentoml.service(
    workers=work.CORES, traffic={"timeout": 60}, logging={"access": {"enabled": False}}
)


@_SERVICE
class Json:
    def __init__(self) -> None:
        self.model = work.Model()

    @bentoml.api
    def infer(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        return self.model([self.model.of({"inputs": inputs})])[0]


@_SERVICE
class Binary:
    def __init__(self) -> None:
        self.model = work.Model()

    @bentoml.api
    def infer(
        self, body: Annotated[Path, ContentType("application/octet-stream")], /
    ) -> dict[str, Any]:
        return self.model([self.model.read(body.read_bytes())])[0]


@_SERVICE
class Texts:
    def __init__(self) -> None:
        self.model = work.Model()

    @bentoml.api
    def infer(self, input: list[str]) -> np.ndarray:
        (found,) = self.model([list(input)])
        return np.array([row["embedding"] for row in found["data"]], np.float32)


if __name__ == "__main__":
    kind = {"embedder": "Texts", "encoder": "Texts", "detector": "Binary"}.get(os.environ["MODEL"])
    kind = kind or ("Binary" if work.BINARY else "Json")
    here = Path(__file__)
    command = ["serve", f"{here.stem}:{kind}", "--host", "127.0.0.1", "--port", str(work.PORT)]
    python = Path(sys.executable)
    arguments = ["-m", "bentoml", *command, "-q", "--do-not-track", "--working-dir", here.parent]
    os.execv(python, [python, *map(str, arguments)])  # noqa: S606 its own command line
