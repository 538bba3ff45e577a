# /// script
# dependencies = ["schemathesis==4.32.5"]
# [tool.plaza]
# lock = "schemathesis"
# ///
"""schemathesis: requests made from the hub's own OpenAPI document; no answer may break it."""

import subprocess
import sys
import tempfile
from pathlib import Path

import telling

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
SETTINGS = """
[parameters]
"path.model" = "tiny"
"path.version" = "1"

[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "504"]

[[operations]]
include-path-regex = "^/tei/.*/predict$"
parameters = { "path.model" = "banking-intents" }

[[operations]]
include-path-regex = "^/tei/"
parameters = { "path.model" = "sentence-embedder" }

[[operations]]
include-path-regex = "/(un)?load$"
enabled = false
"""
"""Names that exist, so that more than refusals is tried. Nothing is opened or closed. 504 is what a
deadline of some microseconds rightly meets."""


def run(phase, examples):
    with tempfile.TemporaryDirectory() as scratch:
        settings = Path(scratch, "schemathesis.toml")
        settings.write_text(SETTINGS)
        program = str(Path(sys.executable).with_name("schemathesis"))
        done = subprocess.run(
            [program, "--config-file", str(settings), "run", f"{telling.URL}/openapi.json",
             "-H", f"Authorization: Bearer {telling.KEY}", "--phases", phase,
             "--checks", ",".join(CHECKS), "--max-examples", str(examples), "--seed", "137",
             "--suppress-health-check", "all", "--continue-on-failure", "--no-color"],
            capture_output=True, text=True, timeout=420, check=False, cwd=scratch,
        )  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stdout)
    assert done.returncode == 0, done.stdout[-400:]


for phase, examples in (("examples", 1), ("coverage", 1), ("fuzzing", 15)):
    with telling.call(f"phase {phase}"):
        run(phase, examples)
telling.end()
