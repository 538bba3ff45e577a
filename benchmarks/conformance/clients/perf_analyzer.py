# /// script
# dependencies = ["tritonclient==2.40.0", "nvidia-cuda-runtime-cu12", "numpy"]
# [tool.plaza]
# libraries = ["libb64.so.0d"]
# hint = "Debian: apt install libb64-0d"
# ///
"""perf_analyzer, from the last wheel that runs with the C library of 2022, over HTTP and gRPC."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nvidia.cuda_runtime
import telling

(HOME,) = nvidia.cuda_runtime.__path__
PROGRAM = Path(sys.executable).with_name("perf_analyzer")


def run(*more, protocol="http"):
    host = telling.GRPC if protocol == "grpc" else telling.HOST
    libraries = f"{HOME}/lib:{os.environ.get('LD_LIBRARY_PATH', '')}"
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch, "table.csv")
        done = subprocess.run(
            [PROGRAM, "-m", "tiny", "-u", host, "-i", protocol, "-f", table,
             "-H", f"authorization:Bearer {telling.KEY}", "-p", "1000", "-r", "3", "-s", "999",
             *more],
            capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-400:]
        names, values = table.read_text().splitlines()[:2]
    return dict(zip(names.split(","), values.split(","), strict=False))


with telling.call("-i http, closed loop, 4 at once, batches of 1"):
    row = run("--concurrency-range", "4")
    assert float(row["Inferences/Second"]) > 0
    # Its split into queue and compute comes from the hub's statistics.
    assert float(row["Server Compute Infer"]) >= 0
with telling.call("-i http, batches of 8, JSON tensors"):
    row = run("-b", "8", "--input-tensor-format", "json", "--output-tensor-format", "json")
    assert float(row["Inferences/Second"]) > 0
with telling.call("-i grpc, closed loop, 4 at once, batches of 1"):
    row = run("--concurrency-range", "4", protocol="grpc")
    assert float(row["Inferences/Second"]) > 0
with telling.call("-i grpc --streaming, batches of 8, asynchronous"):
    row = run("-b", "8", "--streaming", "--async", "--concurrency-range", "4", protocol="grpc")
    assert float(row["Inferences/Second"]) > 0
telling.end()
