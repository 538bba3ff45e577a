# /// script
# dependencies = ["schemathesis==4.32.5"]
# [tool.plaza]
# lock = "schemathesis"
# last = true
# ///
"""schemathesis: requests made from the admin API's document, with an admin's key."""

import os

import fuzzing
import telling

NAMES = {"org": "fuzzed", "project": "main", "name": "identity-int8", "version": "1",
         "alias": "champion", "key": os.environ["PLAZA_FUZZED_KEY"]}  # fmt: skip
"""The id of a key that may be changed and revoked. Left alone, schemathesis takes for it the key
itself, which an answer held, and a key in a URL is refused before its method is looked at."""

answered = fuzzing.conform(
    f"{telling.CONTROL_URL}/openapi.json", telling.ADMIN_KEY, NAMES,
    {"examples": 1, "coverage": 1, "fuzzing": 10},
    right=("503", "504"),  # 503: what needs a provider or server that this hub lacks says so
)  # fmt: skip
with telling.call("operations that did what they are for") as about:
    done = [name for name, statuses in answered.items() if fuzzing.succeeded(statuses)]
    assert len(done) > len(answered) / 2, sorted(answered.keys() - set(done))
    about(f"{len(done)} of {len(answered)}; the others were asked for what is not there")
telling.end()
