"""A hub in miniature for tests of its clients: both ports' contracts over real sockets, no models.

It answers from fixed rules, remembers what it was asked, and refuses as the real one does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.client.canned import canned

KEY = "plz_test"
TIMING = {"queue_us": 5, "prepare_us": 10, "run_us": 20, "interpret_us": 3, "total_us": 40}
COSTS = {
    "x-plaza-charge": "18",
    "x-plaza-compute-us": "129",
    "x-plaza-host-us": "2",
    "x-plaza-batch-rows": "4",
    "x-plaza-budget-remaining": "17770",
}


FAMILIES = {
    "/v1/vision/detect": "vision.detect",
    "/v1/vision/quality": "vision.quality",
    "/v1/forecast": "forecast.quantile",
    "/v1/anomaly/score": "forecast.quantile",
    "/v1/warning/level": "forecast.quantile",
    "/v1/text/classify": "text.classify",
    "/v1/embeddings": "text.embed",
}
MODELS = {
    "acme.main.cars": "vision.detect",
    "eyes": "vision.quality",
    "load": "forecast.quantile",
    "topics": "text.classify",
    "words": "text.embed",
}


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class State:
    seen: list[Seen] = field(default_factory=list)
    uploads: dict[str, dict[str, str]] = field(default_factory=dict)
    spoil: set[str] = field(default_factory=set)
    """Files that arrive otherwise than they were sent."""
    versions: list[str] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=lambda: dict(MODELS))
    """Name -> family, of what may be called."""
    refuse: dict[str, Response] = field(default_factory=dict)
    """`METHOD path` -> the answer to give instead."""

    def last(self, method: str) -> Seen:
        return next(seen for seen in reversed(self.seen) if seen.method == method)


def error(status, code, message, **more):
    headers = {"retry-after": str(more["retry_after"])} if "retry_after" in more else {}
    body = {"error": message, "code": code, "input": more.get("input"), "request_id": "req-1"}
    return JSONResponse(body, status, headers)


SCORED = "time,value,score,q0.05,q0.5,q0.95\n2026-07-01T04:00:00,16,0.91,1,15,20\n"
AHEAD = (
    "series,time,step,q0.05,q0.25,q0.5,q0.75,q0.95,mean\n"
    "river,2026-07-01T05:00:00,1,10,14,15,16,20,15.1\n"
)
WARNED = (
    "step,level,since,chance watch,q0.05,q0.5,q0.95\n1,watch,2026-07-01T04:00:00Z,0.75,11,15,19\n"
)


class MiniHub:
    def __init__(self) -> None:
        self.state = State()
        routes = [
            Route("/v2/models/{model}", self.metadata),
            Route("/v2/models/{model}/versions/{version}", self.metadata),
            Route("/v2/models/{model}/infer", self.infer, methods=["POST"]),
            Route("/v2/models/{model}/versions/{version}/infer", self.infer, methods=["POST"]),
            Route("/v1/models", self.models),
            Route("/v1/vision/detect", self.detect, methods=["POST"]),
            Route("/v1/vision/quality", self.quality, methods=["POST"]),
            Route("/v1/forecast", self.forecast, methods=["POST"]),
            Route("/v1/anomaly/score", self.table, methods=["POST"]),
            Route("/v1/warning/level", self.table, methods=["POST"]),
            Route("/v1/text/classify", self.classify, methods=["POST"]),
            Route("/v1/embeddings", self.embeddings, methods=["POST"]),
            Route("/api/v1/uploads", self.begin, methods=["POST"]),
            Route("/api/v1/uploads/{upload}/files/{path:path}", self.put_file, methods=["PUT"]),
            Route("/api/v1/uploads/{upload}/commit", self.commit, methods=["POST"]),
            Route("/api/v1/uploads/{upload}", self.abort, methods=["DELETE"]),
            Route(
                "/api/v1/{path:path}", self.admin, methods=["GET", "POST", "PATCH", "PUT", "DELETE"]
            ),
        ]
        self._routes = Starlette(routes=routes)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        if "/files/" in scope["path"]:  # streamed: hashed as it comes, never held
            await self._routes(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        query: dict[str, list[str]] = {}
        for name, value in request.query_params.multi_items():
            query.setdefault(name, []).append(value)
        seen = Seen(scope["method"], scope["path"], query, dict(request.headers), body)
        self.state.seen.append(seen)
        refusal = self.state.refuse.get(f"{seen.method} {seen.path}")
        if seen.headers.get("authorization") != f"Bearer {KEY}":
            refusal = error(401, "unauthenticated", "this is not a key of this hub")
        if refusal is None and seen.path in FAMILIES:
            refusal = self._mean(scope, seen)
        if refusal is not None:
            await refusal(scope, receive, send)
            return

        async def again():
            return {"type": "http.request", "body": body, "more_body": False}

        await self._routes(scope, again, send)

    def _mean(self, scope, seen):
        """The model that is named, else the only one of the family; or a refusal."""
        is_json = seen.headers["content-type"] == "application/json"
        said = seen.json.get("model") if is_json else seen.query.get("model", [None])[0]
        family = FAMILIES[seen.path]
        names = [name for name, own in self.state.models.items() if own == family]
        if said is None and len(names) != 1:
            found = f"there are several: {', '.join(sorted(names))}" if names else "there is none"
            message = f"name a model of family '{family}'; {found}"
            return error(422, "invalid_input", message, input="model")
        scope["meant"] = said or names[0]
        return None

    # ── inference ────────────────────────────────────────────────────────────────────────────────
    async def metadata(self, request):
        tensor = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
        texts = [{"name": "t", "datatype": "BYTES", "shape": [-1]}]
        name = request.path_params["model"]
        body = {"name": name, "versions": ["1", "3"], "platform": "onnx_onnxv1"}
        return JSONResponse(body | {"inputs": tensor + texts, "outputs": tensor})

    async def infer(self, request):
        """Each input comes back as `echo_<name>`, binary as it came; `n` is an output in JSON."""
        body = await request.body()
        at = int(request.headers["inference-header-content-length"])
        asked = json.loads(body[:at])
        outputs, tail = [{"name": "n", "datatype": "INT64", "shape": [1], "data": [7]}], b""
        for tensor in asked["inputs"]:
            size = tensor["parameters"]["binary_data_size"]
            outputs.append(tensor | {"name": f"echo_{tensor['name']}"})
            tail += body[at : at + size]
            at += size
        assert at == len(body)
        answer = {"model_name": request.path_params["model"], "model_version": "3"}
        head = json.dumps(answer | {"outputs": outputs}).encode()
        return Response(
            head + tail,
            headers={"inference-header-content-length": str(len(head)), **COSTS},
            media_type="application/octet-stream",
        )

    async def models(self, request):
        data = [
            {"id": name, "object": "model", "family": family, "version": 1, "ready": True}
            for name, family in self.state.models.items()
        ]
        return JSONResponse({"object": "list", "data": data})

    async def quality(self, request):
        """The first picture is fine, others are black."""
        asked = json.loads(await request.body())
        measures = [{"name": "bright", "value": 9.0, "excess": 23.0, "fault": "black"}]
        black = {"width": 64, "height": 48, "faults": ["black"], "measures": measures}
        fine = black | {"faults": []}
        pictures = [black if number else fine for number, _ in enumerate(asked["images"])]
        answer = {"pictures": pictures, "usable": 1, "model": "eyes", "version": 3}
        return JSONResponse(answer | {"timing": TIMING}, headers=COSTS)

    async def detect(self, request):
        found = {"label": "car", "score": 0.9, "box": [1.5, 2.0, 30.0, 40.0]}
        return JSONResponse(
            {"model": request.scope["meant"], "version": 2, "timing": TIMING}
            | {"width": 64, "height": 48, "detections": [found]}
        )

    async def forecast(self, request):
        if request.headers["content-type"] == "text/csv":
            return await self.table(request)
        asked = await request.json()
        quantiles = asked.get("quantiles", [0.1, 0.5, 0.9])
        steps = asked["horizon"]
        answer = {
            "model": request.scope["meant"],
            "version": 1,
            "timing": TIMING,
            "quantiles": quantiles,
        }
        if "series" in asked:
            ends = [row[-1] for row in asked["series"]]
            each = [
                {"values": [[end + q] * steps for q in quantiles], "mean": [end] * steps}
                for end in ends
            ]
            return JSONResponse(answer | {"forecasts": each})
        last = asked["values"][-1]
        return JSONResponse(answer | {"values": [[last + q] * steps for q in quantiles]})

    async def table(self, request):
        """Of a row, with a state for warnings."""
        if request.headers["accept"] == "image/svg+xml":
            return Response("<svg/>", media_type="image/svg+xml")
        if request.url.path == "/v1/anomaly/score":
            return Response(SCORED, media_type="text/csv")
        if request.url.path == "/v1/forecast":
            return Response(AHEAD, media_type="text/csv")
        return Response(WARNED, headers={"x-plaza-state": '{"version":1}'}, media_type="text/csv")

    async def classify(self, request):
        asked = await request.json()
        labels = [{"label": f"l{i}", "score": 1 / (i + 2)} for i in range(asked["top_k"])]
        results = [labels for _ in asked["input"]]
        answer = {"model": request.scope["meant"], "version": 1, "timing": TIMING}
        return JSONResponse(answer | {"results": results})

    async def embeddings(self, request):
        asked = await request.json()
        assert asked["encoding_format"] == "base64"
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(struct.pack("<2f", 1.0, len(text))).decode(),
            }
            for index, text in enumerate(asked["input"])
        ]
        answer = {"object": "list", "model": request.scope["meant"], "version": 1, "timing": TIMING}
        usage = {"prompt_tokens": 9, "total_tokens": 9}
        return JSONResponse(answer | {"data": data[::-1], "usage": usage})

    # ── control ──────────────────────────────────────────────────────────────────────────────────
    async def begin(self, request):
        upload = f"up_{len(self.state.uploads)}"
        self.state.uploads[upload] = {}
        return JSONResponse({"upload": upload}, 201)

    async def put_file(self, request):
        path = request.path_params["path"]
        if path in self.state.refuse:
            return self.state.refuse[path]
        digest, chunks = hashlib.sha256(), 0
        async for chunk in request.stream():
            digest.update(chunk)
            chunks += 1
        assert "transfer-encoding" not in request.headers
        self.state.uploads[request.path_params["upload"]][path] = digest.hexdigest()
        sha256 = "0" * 64 if path in self.state.spoil else digest.hexdigest()
        return JSONResponse({"path": path, "chunks": chunks, "sha256": sha256})

    async def commit(self, request):
        asked = await request.json()
        files = self.state.uploads.pop(request.path_params["upload"])
        digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        created = digest not in self.state.versions
        if created:
            self.state.versions.append(digest)
        return JSONResponse(
            {
                "model": "mdl_1",
                "name": asked.get("name") or "from-manifest",
                "version": self.state.versions.index(digest) + 1,
                "digest": digest,
                "created": created,
                "tracked": True,
                "examination": {"passed": True, "run_us": 900},
                "a_field_of_tomorrow": 1,
            }
        )

    async def abort(self, request):
        self.state.uploads.pop(request.path_params["upload"], None)
        return Response(status_code=204)

    async def admin(self, request):
        key = f"{request.method} {request.path_params['path']}"
        body = await request.body()
        found = canned(key, json.loads(body) if body else {})
        if found is None:
            return error(404, "route_not_found", "there is nothing at this path")
        return JSONResponse(found)
