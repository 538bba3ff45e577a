# /// script
# dependencies = ["tritonclient[http,grpc]==2.73.0", "numpy>=2"]
# [tool.plaza]
# lock = "tritonclient"
# keyless = true
# variable = "PLAZA_TRITON_EXAMPLES"
# hint = "the folder src/python/examples of Triton's client repository"
# ///
"""Triton's own example programs, as they are and without a key, for its model `simple`."""

import os
import subprocess
import sys
from pathlib import Path

import telling

EXAMPLES = Path(os.environ["PLAZA_TRITON_EXAMPLES"])
RUNS = (
    ("simple_http_infer_client.py", telling.HOST, ""),
    ("simple_http_async_infer_client.py", telling.HOST, "1 - 1 = 0"),
    ("simple_http_aio_infer_client.py", telling.HOST, "PASS: infer"),
    ("simple_grpc_infer_client.py", telling.GRPC, "PASS: infer"),
    ("simple_grpc_async_infer_client.py", telling.GRPC, "PASS: Async infer"),
    ("simple_grpc_aio_infer_client.py", telling.GRPC, "PASS: grpc aio infer"),
    ("simple_grpc_custom_args_client.py", telling.GRPC, "PASS: CustomArgs"),
    ("simple_grpc_keepalive_client.py", telling.GRPC, "PASS: KeepAlive"),
    ("grpc_explicit_int_content_client.py", telling.GRPC, "1 - 1 = 0"),
)
for name, address, told in RUNS:
    with telling.call(name):
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / name), "-u", address],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-300:]
        assert told in done.stdout, done.stdout[-300:]
telling.end()
