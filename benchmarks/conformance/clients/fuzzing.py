"""One run of schemathesis, for the scripts that point it at a document."""

import subprocess
import sys
import tempfile
from pathlib import Path

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
SEED = 137


def run(document, settings, key, *more, checks=CHECKS):
    """Raises AssertionError with the end of what it wrote, all of which goes to stderr."""
    with tempfile.TemporaryDirectory() as scratch:
        configuration = Path(scratch, "schemathesis.toml")
        configuration.write_text(settings)
        program = str(Path(sys.executable).with_name("schemathesis"))
        done = subprocess.run(
            [program, "--config-file", str(configuration), "run", str(document),
             "-H", f"Authorization: Bearer {key}", "--checks", ",".join(checks),
             "--seed", str(SEED), "--suppress-health-check", "all", "--continue-on-failure",
             "--no-color", *more],
            capture_output=True, text=True, timeout=600, check=False, cwd=scratch,
        )  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stdout.partition("FAILURES")[2] or done.stdout)
    assert done.returncode == 0, done.stdout[-400:]
