"""Whatever arrives, the door answers in its own words: never a 5xx, never an exception.

A 503 for a full house or a 504 for a late call are answers too, but nothing here causes them.
"""

import asyncio
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plaza_serving.doors.http import HttpDoor

JSON_BODY = json.dumps(
    {
        "id": "a",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2.5, -3]}],
        "outputs": [{"name": "z", "parameters": {"binary_data": True}}, {"name": "y"}],
        "parameters": {"timeout": 10_000_000, "binary_data_output": False},
    }
).encode()
HEAD = json.dumps(
    {
        "inputs": [
            {
                "name": "x",
                "datatype": "FP32",
                "shape": [1, 3],
                "parameters": {"binary_data_size": 12},
            }
        ]
    }
).encode()
BINARY_BODY = HEAD + np.arange(3, dtype="<f4").tobytes()
TASKS = {
    "/v1/vision/detect": {"model": "detector", "image": "iVBORw==", "threshold": 0.5},
    "/v1/vision/count": {
        "model": "detector",
        "images": ["iVBORw=="],
        "fps": 5,
        "lines": [{"name": "a", "start": [0, 1], "end": [8, 1]}],
        "zones": [{"name": "z", "points": [[0, 0], [8, 0], [8, 8]]}],
        "ground": [[0, 0, 0, 0], [8, 0, 1, 0], [8, 8, 1, 1], [0, 8, 0, 1]],
    },
    "/v1/forecast": {"model": "forecaster", "values": [1, 2], "horizon": 2, "quantiles": [0.5]},
    "/v1/anomaly/score": {"model": "forecaster", "values": [1, 2, 3, 4, 5, 6], "steps": 2},
    "/v1/warning/level": {
        "model": "forecaster",
        "series": [[1, 2, 3, 4], [5, 6, 7, 8]],
        "levels": [{"name": "a", "threshold": [5, 6], "above": True, "enter": 0.5, "leave": 0.2}],
        "at": "2026-07-01T12:00:00",
        "horizon": 2,
        "draw": 0,
    },
    "/v1/text/classify": {"model": "classifier", "input": ["a"], "top_k": 2},
    "/v1/embeddings": {"model": "embedder", "input": "a", "encoding_format": "base64"},
}
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["FP32", "BYTES", "x", "BOOL", "champion"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "data", "shape", "datatype", "parameters", "binary_data_size"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
tokens = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=20)
header_values = tokens | st.sampled_from(
    ["0", "5", str(len(HEAD)), "gzip", "deflate", "application/json", "image/png", "identity"]
)
headers = st.dictionaries(
    st.sampled_from(
        ["inference-header-content-length", "content-encoding", "content-type", "content-length"]
    ),
    header_values,
    max_size=2,
)


def ask(new_hub, new_client, limits, method, path, body, *, headers=(), query="", pieces=1):
    """One request to a new door, in an event loop of its own; the answer, which is never a 5xx."""

    async def run():
        client = new_client(HttpDoor(new_hub(), limits))
        step = max(1, -(-len(body) // pieces))
        parts = [body[at : at + step] for at in range(0, len(body), step)]
        return await client.send(method, path, parts, headers=headers, query=query)

    answer = asyncio.run(run())
    assert 200 <= answer.status < 500
    if answer.status >= 400:
        answer.problem()
    return answer


@st.composite
def damaged(draw, original):
    """`original` with a few bytes changed, cut out or put in."""
    body = bytearray(draw(st.sampled_from(original)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b"[", b'"', b"}", b"null", b"1e999", b"\\"])
        )
    return bytes(body)


@given(
    st.binary(max_size=64) | damaged([JSON_BODY, BINARY_BODY]),
    headers,
    st.sampled_from(["echo", "open", "words"]),
    st.integers(1, 5),
)
def test_noise_and_damage_on_infer(new_hub, new_client, settings, body, headers, model, pieces):
    path = f"/v2/models/{model}/infer"
    ask(new_hub, new_client, settings, "POST", path, body, headers=headers, pieces=pieces)


@st.composite
def replaced(draw, document):
    """`document` with one value somewhere replaced."""
    copy = json.loads(json.dumps(document))
    node = copy
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw(st.sampled_from(keys))
        if not node[key] or not isinstance(node[key], (dict, list)) or draw(st.booleans()):
            node[key] = draw(values)
            return json.dumps(copy).encode()
        node = node[key]


@given(replaced(json.loads(JSON_BODY)), st.sampled_from(["echo", "open", "words"]))
def test_wrong_values_in_infer(new_hub, new_client, settings, body, model):
    ask(new_hub, new_client, settings, "POST", f"/v2/models/{model}/infer", body)


@given(
    replaced(json.loads(HEAD)), st.sampled_from(["echo", "open", "words"]), st.binary(max_size=20)
)
def test_wrong_values_before_binary_tensors(new_hub, new_client, settings, head, model, tail):
    length = {"inference-header-content-length": str(len(head))}
    path = f"/v2/models/{model}/infer"
    ask(new_hub, new_client, settings, "POST", path, head + tail, headers=length)


@given(
    st.sampled_from(list(TASKS)).flatmap(
        lambda path: st.tuples(st.just(path), replaced(TASKS[path]))
    )
)
def test_wrong_values_in_tasks(new_hub, new_client, settings, sent):
    ask(new_hub, new_client, settings, "POST", *sent)


SHEET = b"time,a\n2026-07-01T00:00,1\n2026-07-01T01:00,2\n,3\n,4\n,5\n,\n"
LEVELS = 'levels=[{"name":"a","threshold":5}]'


@given(
    st.binary(max_size=64) | damaged([SHEET]),
    st.sampled_from(["/v1/forecast", "/v1/anomaly/score", "/v1/warning/level"]),
    st.sampled_from(["", LEVELS, "horizon=2", "steps=1", "at=5", "state=x"]),
    st.sampled_from(["text/csv", "image/svg+xml", "*/*"]),
)
def test_noise_and_damage_in_tables(new_hub, new_client, settings, body, path, query, accept):
    headers = {"content-type": "text/csv", "accept": accept}
    query = f"model=forecaster&{query}"
    ask(new_hub, new_client, settings, "POST", path, body, headers=headers, query=query)


@given(
    st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS", "x"]),
    st.text(max_size=20) | st.lists(
        st.sampled_from(["v2", "models", "echo", "versions", "1", "infer", "", "..", "%2e", "ü"])
    ).map(lambda parts: "/" + "/".join(parts)),
    st.text(st.characters(codec="ascii"), max_size=12),
    st.dictionaries(tokens, tokens, max_size=3),
)  # fmt: skip
def test_any_path_query_and_header(new_hub, new_client, settings, method, path, query, headers):
    ask(new_hub, new_client, settings, method, path, b"{}", headers=headers, query=query)
