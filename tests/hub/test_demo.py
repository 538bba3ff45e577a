"""The demonstration leaves its answers, its drawings, and no process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from benchmarks.hub import tidy
from benchmarks.ports import own_ports

pytestmark = pytest.mark.hub

ROOT = Path(__file__).parents[2]


def test_once(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PLAZA_", "RAY_"))}
    environment["PLAZA_STATE_DIR"] = str(tmp_path / "state")
    with own_ports() as ports:
        done = subprocess.run(
            [sys.executable, "demo/demo.py", "--once"],
            cwd=ROOT,
            env={**environment, **ports.environment},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    tidy(tmp_path / "state")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads((ROOT / "demo" / "answers.json").read_text())
    tasks = [answer["task"] for answer in told["answers"]]
    assert tasks == ["vision.detect", "forecast.quantile", "text.classify", "text.embed"]
    detected, forecast, classified, embedded = (answer["answer"] for answer in told["answers"])
    assert len(detected["detections"]) >= 3
    assert all(list(row) == sorted(row) for row in zip(*forecast["values"], strict=True))
    assert all(result["labels"][0]["score"] > 0.1 for result in classified["results"])
    assert embedded["cosine_similarity"][0][0] == pytest.approx(1, abs=1e-3)
    for answer in told["answers"]:
        if answer["drawn"]:
            with Image.open(ROOT / "demo" / answer["drawn"]) as picture:
                assert min(picture.size) > 200
    left = [
        p
        for p in psutil.process_iter(["environ"])
        if (p.info["environ"] or {}).get("PLAZA_STATE_DIR") == environment["PLAZA_STATE_DIR"]
    ]
    assert not left
