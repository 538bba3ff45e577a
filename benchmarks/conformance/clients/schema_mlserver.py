# /// script
# dependencies = ["mlserver==1.7.1", "schemathesis==4.32.5"]
# ///
"""schemathesis: requests made from MLServer's document of the data plane."""

import json
import tempfile
from pathlib import Path

import fuzzing
import mlserver
import telling

CHECKS = ("not_a_server_error", "content_type_conformance", "response_schema_conformance")
"""The document names only some of the statuses that it uses, so they are not checked."""
OPERATIONS = """
[[operations]]
include-path-regex = "(generate|infer)_stream$|/generate$"
enabled = false
"""
"""What generates text is of other models than this hub's."""
NAMES = {"model_name": "identity-fp32", "model_version": "1"}
DOCUMENT = Path(mlserver.__file__).parent / "rest" / "openapi" / "dataplane.json"

with tempfile.TemporaryDirectory() as scratch:
    document = json.loads(DOCUMENT.read_text())
    # No type of JSON: the document means tensors beside it, which JSON Schema cannot tell.
    document["components"]["schemas"]["TensorData"]["oneOf"].remove({"type": "bytes"})
    served = Path(scratch, "dataplane.json")
    served.write_text(json.dumps(document))
    fuzzing.conform(
        served, telling.KEY, NAMES, {"coverage": 1, "fuzzing": 40},
        more=OPERATIONS, checks=CHECKS, arguments=("--url", telling.URL),
    )  # fmt: skip
telling.end()
