"""Run as a child by the tests: says what the request asks it to say, then ends as asked."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path


def main() -> None:
    request = json.loads(sys.stdin.read())
    said = request.get("say", "").encode()
    while said:
        said = said[os.write(1, said) :]
    if request.get("close"):
        os.close(1)
    if "environment" in request:
        os.write(1, json.dumps({"environment": dict(os.environ), "cwd": str(Path.cwd())}).encode())
    while request.get("flood"):
        os.write(1, b"x" * 65536)
    if "signal" in request:
        os.kill(os.getpid(), request["signal"])
    if request.get("wait"):
        signal.pause()


if __name__ == "__main__":
    main()
