# /// script
# dependencies = ["schemathesis==4.32.5"]
# [tool.plaza]
# lock = "schemathesis"
# ///
"""schemathesis: requests made from the hub's own OpenAPI document; no answer may break it."""

import fuzzing
import telling

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


for phase, examples in (("examples", 1), ("coverage", 1), ("fuzzing", 15)):
    with telling.call(f"phase {phase}"):
        fuzzing.run(
            f"{telling.URL}/openapi.json", SETTINGS, telling.KEY,
            "--phases", phase, "--max-examples", str(examples),
        )  # fmt: skip
telling.end()
