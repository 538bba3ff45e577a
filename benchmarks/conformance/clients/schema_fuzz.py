# /// script
# dependencies = ["schemathesis==4.32.5", "requests"]
# [tool.plaza]
# lock = "schemathesis"
# ///
"""schemathesis: requests made from the hub's own OpenAPI document; no answer may break it."""

import re

import fuzzing
import requests
import telling

PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mOMqljAgA0wMeAAg1MCACT9AYI2UeHnAAAA"
    "AElFTkSuQmCC"
)
MODELS = {
    "^/v1/vision/(detect|count)$": "road-vehicles",
    "^/v1/vision/quality$": "picture-quality",
    "^/v1/(forecast|anomaly/score|warning/level|timeseries/forecast)$": "forecaster",
    "^/v1/text/classify$|predict$": "banking-intents",
    "^/v1/embeddings$|/(embed|similarity|rerank|info|health)$|^/tei/[^/]*$": "sentence-embedder",
}
"""What the operations of a path are asked of."""
LEFT = "/(un)?load$|^/openapi.json$"
"""What opens and closes models is left to other clients; the document itself has been read."""
DOCUMENT = f"{telling.URL}/openapi.json"


def about(paths, model):
    """Configuration: names and a picture that exist, where chance would find none."""
    return f"""
[dictionaries.{model}]
values = ["{model}"]
[[operations]]
include-path-regex = '{paths}'
[operations.parameters]
"path.model" = "{model}"
"body.model" = {{ dictionary = "{model}", probability = 0.8 }}
"query.model" = {{ dictionary = "{model}", probability = 0.8 }}
"body.image" = {{ dictionary = "pictures", probability = 0.8 }}
"body.images[*]" = {{ dictionary = "pictures", probability = 0.8 }}
"""


answered = fuzzing.conform(
    DOCUMENT, telling.KEY, {"model": "identity-fp32", "version": "1"},
    {"examples": 1, "coverage": 1, "fuzzing": 15},
    more=f'[dictionaries.pictures]\nvalues = ["{PICTURE}"]\n'
    + "".join(about(*pair) for pair in MODELS.items())
    + f"[[operations]]\ninclude-path-regex = '{LEFT}'\nenabled = false\n",
)  # fmt: skip
with telling.call("every operation did what it is for") as said:
    asked = {
        f"{method.upper()} {path}"
        for path, methods in requests.get(DOCUMENT, timeout=30).json()["paths"].items()
        for method in methods.keys() - {"parameters"}
        if not re.search(LEFT, path)
    }
    assert answered.keys() == asked, answered.keys() ^ asked
    never = [name for name, statuses in answered.items() if not fuzzing.succeeded(statuses)]
    assert not never, never
    said(f"{len(asked)}, all but load and unload")
telling.end()
