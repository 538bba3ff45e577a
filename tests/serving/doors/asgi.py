"""Speaks ASGI to a door, and reads its answers strictly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plaza_serving.doors.http import HttpDoor


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        def refuse(text: str) -> None:
            raise AssertionError(f"{text} is not JSON")

        return json.loads(self.body, parse_constant=refuse)

    def problem(self) -> tuple[int, str, str | None]:
        """(status, code, input), after checking the shape of errors, in whatever dialect."""
        body = self.json()
        assert body.keys() - {"error_type"} == {"error", "code", "input", "request_id"}
        assert body["request_id"] == self.headers["x-request-id"]
        said = body["error"]
        if isinstance(said, dict):
            assert said.keys() == {"message", "type", "param", "code"}
            assert (said["param"], said["code"]) == (body["input"], body["code"])
            said = said["message"]
        assert isinstance(said, str)
        return self.status, body["code"], body["input"]


class Client:
    """Speaks ASGI to one door. The body is sent in the pieces given, `received` counts them."""

    peer: tuple[str, int] | None = None
    """Its address, as the server tells it."""

    def __init__(self, door: HttpDoor, key: str | None = "consumer") -> None:
        self.door = door
        self.key = key
        self.received = 0
        self.left = asyncio.Event()
        """Set by a test to close the connection from the client's side."""

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.send("GET", path, **more)

    async def post(self, path: str, body: Any = b"", **more: Any) -> Answer:
        return await self.send("POST", path, body, **more)

    async def infer(self, body: Any, model: str = "echo", **more: Any) -> Answer:
        return await self.send("POST", f"/v2/models/{model}/infer", body, **more)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = b"",
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        query: str = "",
    ) -> Answer:
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        pieces = iter([body] if isinstance(body, bytes) else body)
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if self.key is not None:
            pairs.append(("authorization", f"Bearer {self.key}"))
        scope = {
            "type": "http",
            "client": self.peer,
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in pairs],
        }
        upcoming = next(pieces, b"")
        done = False

        async def receive() -> dict[str, Any]:
            nonlocal upcoming, done
            if done or upcoming is None:
                await self.left.wait()
                return {"type": "http.disconnect"}
            self.received += 1
            piece, upcoming = upcoming, next(pieces, b"")
            done = upcoming == b""
            return {"type": "http.request", "body": piece, "more_body": not done}

        answer = Answer()

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                assert answer.status == 0, "an answer was started twice"
                answer.status = message["status"]
                answer.headers = {n.decode(): v.decode() for n, v in message["headers"]}
                assert len(answer.headers) == len(message["headers"])
            else:
                answer.body += message["body"]

        await self.door(scope, receive, send)
        if answer.status:
            assert answer.headers["content-length"] == str(len(answer.body))
        return answer
