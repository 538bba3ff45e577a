# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "litserve==0.2.19", "python-multipart", "uvloop", "httptools", "onnxruntime==1.31.1",
#   "numpy==2.4.6", "pillow==13.0.0", "orjson", "pydantic", "pyyaml",
#   "msgspec", "tokenizers==0.23.3",
# ]
# ///
"""LitServe: a worker process per core, as many HTTP processes, ZeroMQ instead of a shared queue.

It takes JSON and forms, no raw bodies: pictures and numbers come as a file of a form.
"""

import litserve
import work


class Served(litserve.LitAPI):
    def setup(self, device):
        self.model = work.Model()

    def decode_request(self, request):
        if "file" in request:
            return self.model.read(request["file"].file.read())
        return self.model.of(request)

    def batch(self, inputs):
        return inputs

    def predict(self, x):
        return self.model(x) if work.BATCH > 1 else self.model([x])[0]

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    api = Served(max_batch_size=work.BATCH, batch_timeout=0.001 if work.BATCH > 1 else 0.0)
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=work.CORES, fast_queue=True
    )
    server.run(
        host="127.0.0.1",
        port=work.PORT,
        num_api_servers=work.CORES,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
