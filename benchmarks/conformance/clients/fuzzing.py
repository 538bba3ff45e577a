"""schemathesis against one document, phase by phase, for the scripts that say which."""

import collections
import json
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
    document, key, names, examples, *, more="", right=("504",), checks=CHECKS, arguments=()
):
    """A call for each phase of `examples`: its name -> how many requests of each operation.

    `names` are parameters of paths that exist, so that more than refusals is tried; `more` is what
    else stands in the configuration. `right` are statuses from 500 on that are no fault: 504 is
    what a deadline of some microseconds rightly meets. Returns for each operation the statuses
    that it answered with, and how often.
    """
    expected = ", ".join(f'"{status}"' for status in ("2xx", "3xx", "4xx", *right))
    settings = "\n".join(
        ("[parameters]", *(f'"path.{name}" = "{value}"' for name, value in names.items()),
         "[checks.not_a_server_error]", f"expected-statuses = [{expected}]", more)
    )  # fmt: skip
    answered = collections.defaultdict(collections.Counter)
    for phase, most in examples.items():
        found = {}
        with telling.call(f"phase {phase}") as about:
            found = _run(
                settings, "run", str(document), "-H", f"Authorization: Bearer {key}",
                "--phases", phase, "--max-examples", str(most), "--checks", ",".join(checks),
                *arguments,
            )  # fmt: skip
            total = sum(statuses.total() for statuses in found.values())
            about(f"{total} requests of {len(found)} operations")
        for operation, statuses in found.items():
            answered[operation] += statuses
    return answered


def _run(settings, *arguments):
    """Raises AssertionError with the end of what it wrote, all of which goes to stderr."""
    with tempfile.TemporaryDirectory() as scratch:
        configuration, events = Path(scratch, "schemathesis.toml"), Path(scratch, "events")
        configuration.write_text(settings)
        program = str(Path(sys.executable).with_name("schemathesis"))
        done = subprocess.run(
            [program, "--config-file", str(configuration), *arguments, "--seed", str(SEED),
             "--report-ndjson-path", str(events),
             "--suppress-health-check", "all", "--continue-on-failure", "--no-color"],
            capture_output=True, text=True, timeout=600, check=False, cwd=scratch,
        )  # fmt: skip
        if done.returncode:
            sys.stderr.write(done.stdout.partition("FAILURES")[2] or done.stdout)
        assert done.returncode == 0, done.stdout[-400:]
        return _statuses(events.read_text().splitlines())


def _statuses(events):
    """Operation -> how often it answered with which status, of a report in NDJSON."""
    found = collections.defaultdict(collections.Counter)
    for line in events:
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for one in recorder.get("interactions", {}).values():
            if "response" in one:
                found[recorder["label"]][one["response"]["status_code"]] += 1
    return found


def succeeded(statuses):
    """Whether an operation did what it is for at least once."""
    return any(200 <= status < 300 for status in statuses)
