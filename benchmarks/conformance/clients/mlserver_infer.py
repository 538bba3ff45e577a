# /// script
# dependencies = ["mlserver==1.7.1"]
# [tool.plaza]
# lock = "mlserver"
# ///
"""`mlserver infer`: a file of requests in, a file of answers out."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import telling

COUNT = 50


def run(*more):
    with tempfile.TemporaryDirectory() as scratch:
        asked, told = Path(scratch, "asked.jsonl"), Path(scratch, "told.jsonl")
        lines = [
            {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [n, n, n]}]}
            for n in range(COUNT)
        ]
        asked.write_text("\n".join(map(json.dumps, lines)))
        arguments = ["-u", telling.HOST, "-m", "identity-fp32", "-i", str(asked), "-o", str(told)]
        program = str(Path(sys.executable).with_name("mlserver"))
        done = subprocess.run(
            [program, "infer", *arguments, "-H", f"Authorization:Bearer {telling.KEY}", *more],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-300:]
        found = [json.loads(line) for line in told.read_text().splitlines()]
    return sorted(one["outputs"][0]["data"][0] for one in found)


with telling.call(f"mlserver infer, {COUNT} requests, four workers"):
    assert run("-w", "4") == list(range(COUNT))
with telling.call("mlserver infer --batch-size 5"):
    assert run("-s", "5") == list(range(COUNT))
telling.end()
