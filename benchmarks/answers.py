"""Nobody gets another's answer: y = x + c for several c at once, while callers leave.

models     four, each with a constant of its own: `loop` is run where it was read, `joined` by a
           worker in runs of many, `padded` at declared lengths, `cell` in a process of its own
ways       JSON and binary tensors over HTTP, gRPC; every request bears the same id
cancelled  one in five is given up at a moment drawn by lot: its connection ends, its call is
           cancelled
then       each answer is x + c of its own x, has its shape and the id; everybody who stayed was
           answered; in the ledger each answer has its line, and nothing is there twice

    python -m benchmarks.answers [--requests 20000] [--replicas 1]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from rich.console import Console

from benchmarks import exact, graphs
from benchmarks.hub import Hub, running_hub
from benchmarks.ledger import entries
from benchmarks.waiting import reached, until_ok
from plaza_core.tensors import DType, TensorSpec

REQUESTS, AT_ONCE, CANCELLED, PATIENCE_S = 20_000, 64, 0.2, 0.02
ORGANISATION, ID = "answers", "everybody's"
CONSTANTS = {"loop": 10**9, "joined": 2 * 10**9, "padded": 3 * 10**9, "cell": 4 * 10**9}
OWN = "cell"
"""The model that belongs to the organisation and nobody has vouched for."""
WAYS = ("json", "binary", "grpc")
_LENGTHS, _WIDTH, _LAYERS, _MOST_ROWS = [8, 16, 32], 256, 6, 3
_WITHIN_S, _REGISTERED_S = 15.0, 30.0

console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class Question:
    """One request: its numbers are nobody else's."""

    model: str
    way: str
    x: NDArray[np.int64]
    leave_after_s: float | None

    def right(self, y: NDArray[np.int64], id_: str) -> bool:
        return id_ == ID and np.array_equal(y, self.x + CONSTANTS[self.model])


@dataclass(slots=True)
class Tally:
    counts: Counter[str] = field(default_factory=Counter)
    """`right`, `wrong`, `left`, or the error that somebody was told."""
    wrong: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    """Of the answers over HTTP, by the hub."""


def adding(name: str) -> graphs.Graph:
    """y = x + c on integers; `joined` does half a millisecond of work before, times nothing."""
    axis = "length" if name == "padded" else 4
    shapes = [TensorSpec(tensor, DType.INT64, ("batch", axis)) for tensor in "xy"]
    weights = [numpy_helper.from_array(np.array(CONSTANTS[name], np.int64), "c")]
    nodes = [helper.make_node("Add", ["x", "c"], ["y"])]
    if name == "joined":
        work, more = _work()
        same = helper.make_node("Add", ["x", "nothing"], ["same"])
        nodes = [*work, same, helper.make_node("Add", ["same", "c"], ["y"])]
        weights += more
    made = graphs.graph(name, nodes, shapes[:1], shapes[1:], weights)
    if name == "padded":
        made.manifest["buckets"] = {axis: _LENGTHS}
    return made


def _work() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Matrix products of the input's own rows, whose sum is bounded, times zero: (batch, 4)."""
    square = np.random.default_rng(0).standard_normal((_WIDTH, _WIDTH), np.float32) / _WIDTH
    weights = {"wide": square[:4], "square": square, "narrow": square[:, :4]}
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=onnx.TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "wide"], ["p0"]),
    ]
    for layer in range(_LAYERS):
        nodes += [
            helper.make_node("Tanh", [f"p{layer}"], [f"t{layer}"]),
            helper.make_node("MatMul", [f"t{layer}", "square"], [f"p{layer + 1}"]),
        ]
    nodes += [
        helper.make_node("Tanh", [f"p{_LAYERS}"], ["t"]),
        helper.make_node("MatMul", ["t", "narrow"], ["n"]),
        helper.make_node("Mul", ["n", "zero"], ["z"]),
        helper.make_node("Cast", ["z"], ["nothing"], to=onnx.TensorProto.INT64),
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    return nodes, [*tensors, numpy_helper.from_array(np.float32(0), "zero")]


def questions(count: int, dice: random.Random) -> list[Question]:
    def one(number: int) -> Question:
        model = dice.choice(list(CONSTANTS))
        width = dice.randint(1, _LENGTHS[-1]) if model == "padded" else 4
        rows = dice.randint(1, _MOST_ROWS)
        x = number * 1000 + np.arange(rows * width, dtype=np.int64).reshape(rows, width)
        leave = dice.uniform(0, PATIENCE_S) if dice.random() < CANCELLED else None
        return Question(model, dice.choice(WAYS), x, leave)

    return [one(number) for number in range(count)]


class Asker:
    """Asks a hub in all three ways, on connections of its own."""

    def __init__(self, hub: Hub, key: str, tally: Tally) -> None:
        self._headers = {"authorization": f"Bearer {key}"}
        self._tally = tally
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        self._http = httpx.AsyncClient(base_url=hub.url, limits=limits, timeout=60)
        self._grpc = triton_aio.InferenceServerClient(
            f"127.0.0.1:{hub.environment['PLAZA_GRPC_PORT']}"
        )

    async def close(self) -> None:
        await self._http.aclose()
        await self._grpc.close()

    async def ask(self, question: Question) -> None:
        """Put the question, or leave after a while; what became of it goes into the tally."""
        way = {"json": self._json, "binary": self._binary, "grpc": self._called}[question.way]
        try:
            async with asyncio.timeout(question.leave_after_s):
                told = await way(question)
        except TimeoutError:
            self._tally.counts["left"] += 1
            return
        self._tally.counts[told] += 1

    def _judge(self, question: Question, y: NDArray[np.int64], id_: str) -> str:
        if question.right(y, id_):
            return "right"
        self._tally.wrong.append(f"{question}: {id_} {y.tolist()}")
        return "wrong"

    async def _json(self, question: Question) -> str:
        answer = await self._http.post(
            f"/v2/models/{question.model}/infer",
            json={"id": ID, "inputs": [{**_described(question), "data": question.x.tolist()}]},
            headers=self._headers,
        )
        if answer.is_error:
            return str(answer.json()["code"])
        self._tally.ids.add(answer.headers["x-request-id"])
        document = answer.json()
        (output,) = document["outputs"]
        y = np.array(output["data"], np.int64).reshape(output["shape"])
        return self._judge(question, y, document["id"])

    async def _binary(self, question: Question) -> str:
        described = {
            **_described(question), "parameters": {"binary_data_size": question.x.nbytes}
        }  # fmt: skip
        wanted = {"id": ID, "inputs": [described], "parameters": {"binary_data_output": True}}
        head = json.dumps(wanted).encode()
        answer = await self._http.post(
            f"/v2/models/{question.model}/infer",
            content=head + question.x.tobytes(),
            headers={**self._headers, "inference-header-content-length": str(len(head))},
        )
        if answer.is_error:
            return str(answer.json()["code"])
        self._tally.ids.add(answer.headers["x-request-id"])
        length = int(answer.headers["inference-header-content-length"])
        document = json.loads(answer.content[:length])
        (output,) = document["outputs"]
        y = np.frombuffer(answer.content[length:], np.int64).reshape(output["shape"])
        return self._judge(question, y, document["id"])

    async def _called(self, question: Question) -> str:
        tensor = triton.InferInput("x", list(question.x.shape), "INT64")
        tensor.set_data_from_numpy(question.x)
        try:
            answer = await self._grpc.infer(
                question.model, [tensor], request_id=ID, headers=self._headers
            )
        except triton.InferenceServerException as refused:
            return str(refused.status())
        return self._judge(question, answer.as_numpy("y"), answer.get_response().id)


def _described(question: Question) -> dict[str, Any]:
    return {"name": "x", "datatype": "INT64", "shape": list(question.x.shape)}


async def _all(hub: Hub, key: str, asked: list[Question]) -> Tally:
    tally = Tally()
    asker = Asker(hub, key, tally)
    left = iter(asked)

    async def client() -> None:
        for question in left:
            await asker.ask(question)

    try:
        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    finally:
        await asker.close()
    return tally


def prepare(hub: Hub, place: Path) -> str:
    """Register the models; the key of an organisation that owns one of them."""
    hub.admin.orgs.create(ORGANISATION)
    key = hub.admin.keys.create(ORGANISATION, role="engineer").key
    for name in CONSTANTS:
        bundle = adding(name).write(place / name)
        if name == OWN:
            hub.client(key).models.register(bundle)
        else:
            hub.admin.models.register(bundle, visibility="public")
        until_ok(partial(_asked_once, hub, key, name), _REGISTERED_S)
    return key


def _asked_once(hub: Hub, key: str, model: str) -> httpx.Response:
    body = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1, 4], "data": [0] * 4}]}
    return httpx.post(
        f"{hub.url}/v2/models/{model}/infer", json=body, headers={"authorization": f"Bearer {key}"}
    )


def measure(hub: Hub, key: str, requests: int, seed: int = 0) -> dict[str, Any]:
    """Ask, then compare the answers with the ledger."""
    before = set(entries(hub.state_dir, ORGANISATION))
    asked = questions(requests, random.Random(seed))  # noqa: S311 to be drawn again
    tally = asyncio.run(_all(hub, key, asked))

    def booked() -> set[str]:
        return {
            id_
            for id_, entry in entries(hub.state_dir, ORGANISATION).items()
            if entry.outcome == "ok"
        }

    shipped = reached(lambda: tally.ids <= booked(), _WITHIN_S)
    lines = len(set(entries(hub.state_dir, ORGANISATION)) - before)
    counts = dict(tally.counts)
    stayed = requests - counts.get("left", 0)
    held = shipped and lines <= requests and not tally.wrong and counts.get("right", 0) == stayed
    return {"asked": requests, "told": counts, "ledger": lines, "wrong": tally.wrong, "held": held}


def prove(requests: int = REQUESTS, replicas: int = 1) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="plaza-answers-") as scratch:
        place = Path(scratch)
        with running_hub(place / "state", replicas=replicas, **exact.SETTINGS) as hub:
            found = measure(hub, prepare(hub, place), requests)
    console.print(f"  {replicas} replicas: { {k: v for k, v in found.items() if k != 'wrong'} }")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--replicas", type=int, default=1)
    asked = parser.parse_args()
    return 0 if prove(asked.requests, asked.replicas)["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
