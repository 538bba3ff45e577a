"""schemathesis against one document, phase by phase, for the scripts that say which."""

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
SEED = 137


def conform(
    document, key, names, examples, *, operations="", right=("504",), checks=CHECKS, more=()
):
    """A call for each phase of `examples`: its name -> how many requests of each operation.

    `names` are parameters of paths that exist, so that more than refusals is tried; `operations`
    is what else stands in the configuration. `right` are statuses from 500 on that are no fault:
    504 is what a deadline of some microseconds rightly meets.
    """
    expected = ", ".join(f'"{status}"' for status in ("2xx", "3xx", "4xx", *right))
    settings = "\n".join(
        ("[parameters]", *(f'"path.{name}" = "{value}"' for name, value in names.items()),
         "[checks.not_a_server_error]", f"expected-statuses = [{expected}]", operations)
    )  # fmt: skip
    for phase, most in examples.items():
        with telling.call(f"phase {phase}"):
            _run(
                settings, "run", str(document), "-H", f"Authorization: Bearer {key}",
                "--phases", phase, "--max-examples", str(most), "--checks", ",".join(checks), *more,
            )  # fmt: skip
    telling.end()


def _run(settings, *arguments):
    """Raises AssertionError with the end of what it wrote, all of which goes to stderr."""
    with tempfile.TemporaryDirectory() as scratch:
        configuration = Path(scratch, "schemathesis.toml")
        configuration.write_text(settings)
        program = str(Path(sys.executable).with_name("schemathesis"))
        done = subprocess.run(
            [program, "--config-file", str(configuration), *arguments, "--seed", str(SEED),
             "--suppress-health-check", "all", "--continue-on-failure", "--no-color"],
            capture_output=True, text=True, timeout=600, check=False, cwd=scratch,
        )  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stdout.partition("FAILURES")[2] or done.stdout)
    assert done.returncode == 0, done.stdout[-400:]
