# /// script
# dependencies = ["schemathesis==4.32.5"]
# [tool.plaza]
# lock = "schemathesis"
# ///
"""schemathesis: requests made from the hub's own OpenAPI document; no answer may break it."""

import fuzzing
import telling

OPERATIONS = """
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
"""Nothing is opened or closed: other clients ask for it."""

fuzzing.conform(
    f"{telling.URL}/openapi.json", telling.KEY, {"model": "tiny", "version": "1"},
    {"examples": 1, "coverage": 1, "fuzzing": 15}, operations=OPERATIONS,
)  # fmt: skip
