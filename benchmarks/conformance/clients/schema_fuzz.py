# /// script
# dependencies = ["schemathesis==4.32.5"]
# [tool.plaza]
# lock = "schemathesis"
# ///
"""schemathesis: requests made from the hub's own OpenAPI document; no answer may break it."""

import fuzzing
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
    "/(un)?load$": "",
}
"""What the operations of a path are asked of; nothing is opened or closed, other clients do."""


def about(paths, model):
    """Configuration: names and a picture that exist, where chance would find none."""
    if not model:
        return f"[[operations]]\ninclude-path-regex = '{paths}'\nenabled = false\n"
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
    f"{telling.URL}/openapi.json", telling.KEY, {"model": "identity-fp32", "version": "1"},
    {"examples": 1, "coverage": 1, "fuzzing": 15},
    more=f'[dictionaries.pictures]\nvalues = ["{PICTURE}"]\n'
    + "".join(about(*pair) for pair in MODELS.items()),
)  # fmt: skip
with telling.call("every operation did what it is for") as said:
    never = [name for name, statuses in answered.items() if not fuzzing.succeeded(statuses)]
    assert not never, never
    said(f"{len(answered)}, without load and unload")
telling.end()
