"""`python -m plaza_accel.sandbox.selftest`: gives itself up as an examination does.

It says what holds.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict

from plaza_accel.sandbox.confinement import Confinement, SandboxError, confine


def main() -> None:
    try:
        confined = asdict(confine(Confinement((), memory_bytes=1 << 30, cpu_seconds=10)))
    except SandboxError as error:
        answer: dict[str, object] = {"unconfined": str(error)}
    else:
        answer = {"confined": confined}
    os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
