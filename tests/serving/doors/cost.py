"""What one request costs in the door: Python time per call, without sockets and without a plane.

    python tests/serving/doors/cost.py

Prints the least of several runs, in microseconds; the plane under the door answers at once.
"""

import json
import sys
import time

import numpy as np
import uvloop

from plaza_core.clock import SystemClock
from plaza_core.ids import Digest, KeyId, OrganisationId, RequestId
from plaza_core.inference import Outcome, Timing
from plaza_core.principal import Principal, Role
from plaza_core.settings import Settings
from plaza_models.tasks import Classified, Label
from plaza_serving.doors.http import HttpDoor

CALLS, RUNS = 200, 100


class Instant:
    """A plane that costs nothing."""

    clock = SystemClock()
    principal = Principal(KeyId("k"), OrganisationId("o"), "acme", None, None, Role.CONSUMER)
    outcome: Outcome

    def new_request_id(self):
        return RequestId("01900000-0000-7000-8000-000000000000")

    def authenticate(self, authorization):
        return self.principal

    async def infer(self, principal, call):
        return self.outcome

    def live(self):
        return True


def outcome(tensors=None, answer=None):
    return Outcome(
        "m", 1, Digest("0" * 64), Timing(1, 2, 3, 4), 9, 1, tensors=tensors or {}, answer=answer
    )


def cases():
    y = np.arange(4, dtype=np.float32).reshape(1, 4)
    x = {"name": "x", "shape": [1, 4], "datatype": "FP32"}
    small = json.dumps({"inputs": [{**x, "data": [1.5, 2.5, 3.5, 4.5]}]}).encode()
    yield "infer, JSON of 4 numbers", "/v2/models/m/infer", small, {}, outcome({"y": y})
    image = np.zeros((1, 3, 224, 224), np.float32)
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "shape": image.shape,
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": image.nbytes},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    length = {b"inference-header-content-length": b"%d" % len(head)}
    made = outcome({"y": np.zeros((1, 1000), np.float32)})
    yield "infer, binary 224 × 224", "/v2/models/m/infer", head + image.tobytes(), length, made
    rows = np.zeros((32, 64), np.float32)
    many = json.dumps(
        {"inputs": [{**x, "shape": [32, 64], "data": rows.ravel().tolist()}]}
    ).encode()
    yield "infer, JSON of 2,048 numbers", "/v2/models/m/infer", many, {}, outcome({"y": rows})
    nested = json.dumps({"inputs": [{**x, "shape": [32, 64], "data": rows.tolist()}]}).encode()
    yield "the same, nested", "/v2/models/m/infer", nested, {}, outcome({"y": rows})
    text = json.dumps({"model": "m", "input": "late again"}).encode()
    answer = Classified(((Label("a", 0.5), Label("b", 0.3)),))
    yield "classify", "/v1/text/classify", text, {}, outcome(answer=answer)
    yield "health", "/v2/health/live", b"", {}, outcome()
    yield "malformed JSON", "/v2/models/m/infer", b"{", {}, outcome()


async def measure(path, body, extra, made):
    plane = Instant()
    plane.outcome = made
    door = HttpDoor(plane, Settings())
    headers = [
        (b"host", b"127.0.0.1:8000"),
        (b"user-agent", b"wrk"),
        (b"accept", b"*/*"),
        (b"authorization", b"Bearer plz_" + b"0" * 68),
        (b"content-length", b"%d" % len(body)),
        *extra.items(),
    ]
    method = "POST" if body else "GET"
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    best = float("inf")
    for _ in range(RUNS):
        begun = time.perf_counter()
        for _ in range(CALLS):
            scope = {
                "type": "http",
                "method": method,
                "path": path,
                "query_string": b"",
                "headers": headers,
            }
            await door(scope, receive, send)
        best = min(best, (time.perf_counter() - begun) / CALLS)
        status = sent[0]["status"]
        sent.clear()
    return best * 1e6, status


def main():
    for name, path, body, extra, made in cases():
        cost, status = uvloop.run(measure(path, body, extra, made))
        sys.stdout.write(f"{cost:8.1f} µs  {status}  {name}\n")


if __name__ == "__main__":
    main()
