# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "mosec==0.9.8", "onnxruntime==1.31.1", "numpy==2.4.6", "pillow==13.0.0", "orjson", "pydantic",
#   "pyyaml", "msgspec", "tokenizers==0.23.3",
# ]
# ///
"""mosec: a front in Rust, a worker process per core, requests joined while workers are busy."""

import sys

import orjson
import work
from mosec import Server, Worker


class Served(Worker):
    def __init__(self):
        super().__init__()
        self.model = work.Model()

    def deserialize(self, data):
        return self.model.read(data)

    def serialize(self, data):
        return orjson.dumps(data)

    def forward(self, data):
        return self.model(data) if work.BATCH > 1 else self.model([data])[0]


if __name__ == "__main__":
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", str(work.PORT), "--log-level", "warning"]
    server = Server()
    server.append_worker(Served, num=work.CORES, max_batch_size=work.BATCH, max_wait_time=1)
    server.run()
