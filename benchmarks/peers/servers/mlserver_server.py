# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "mlserver==1.7.1", "uvloop<0.22",  # its worker processes need the event loop of older versions
#   "onnxruntime==1.31.1", "numpy==2.4.6", "pillow==13.0.0", "orjson", "pydantic", "pyyaml",
#   "msgspec", "tokenizers==0.23.3",
# ]
# ///
"""MLServer: its custom runtime. One process, or with WORKERS=2 a pool that runs the models.

Binary tensors exist in its gRPC only; in REST a picture is base64.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import work
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec, StringCodec
from mlserver.types import InferenceResponse


class Served(MLModel):
    async def load(self):
        self.model = work.Model()
        return True

    async def predict(self, payload):
        given = payload.inputs[0]
        if given.datatype != "BYTES":
            rows = NumpyCodec.decode_input(given)
            array = self.model.session.run(None, {self.model.input: rows})[0]
            output = NumpyCodec.encode_output(self.model.outputs[0], array)
        elif self.model.manifest.family == "text.embed":
            vectors = self.model.vectors(StringCodec.decode_input(given))
            output = NumpyCodec.encode_output("vectors", vectors)
        else:
            (found,) = self.model(Base64Codec.decode_input(given))
            output = StringCodec.encode_output("detections", [json.dumps(found)])
        return InferenceResponse(model_name=self.name, outputs=[output])


def settings(place):
    """Write what `mlserver start` reads."""
    batch = {"max_batch_size": work.BATCH, "max_batch_time": 0.001} if work.BATCH > 1 else {}
    model = {"name": "served", "implementation": f"{Path(__file__).stem}.Served", **batch}
    server = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": work.PORT,
        "grpc_port": int(os.environ["GRPC_PORT"]),
        "metrics_endpoint": None,
        "parallel_workers": int(os.environ.get("WORKERS", "0")),
    }
    (place / "settings.json").write_text(json.dumps(server))
    (place / "model-settings.json").write_text(json.dumps(model))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    place = Path(tempfile.mkdtemp(dir=os.environ["PLACE"]))
    settings(place)
    program = Path(sys.executable).with_name("mlserver")
    os.execv(program, [str(program), "start", str(place)])  # noqa: S606 its own command line
