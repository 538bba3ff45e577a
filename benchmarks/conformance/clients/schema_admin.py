# /// script
# dependencies = ["schemathesis==4.32.5"]
# [tool.plaza]
# lock = "schemathesis"
# last = true
# ///
"""schemathesis: requests made from the admin API's document, with an admin's key."""

import fuzzing
import telling

SETTINGS = """
[parameters]
"path.org" = "fuzzed"
"path.name" = "identity-int8"
"path.version" = "1"
"path.alias" = "champion"

[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503", "504"]
"""
"""503: what needs a provider or a server that this hub does not have says so."""

for phase, examples in (("examples", 1), ("coverage", 1), ("fuzzing", 10)):
    with telling.call(f"phase {phase}"):
        fuzzing.run(
            f"{telling.CONTROL_URL}/openapi.json", SETTINGS, telling.ADMIN_KEY,
            "--phases", phase, "--max-examples", str(examples),
        )  # fmt: skip
telling.end()
