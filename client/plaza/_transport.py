"""What both clients share: where calls go, how they are authorised, what an answer means."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from uuid import uuid4

import httpx

from plaza._again import PATIENCE_S, Pace, Safe, Tries
from plaza._http import Answer, Call, FileBody
from plaza.errors import PlazaError, Unreachable, error_from

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

URL = "http://127.0.0.1:8000"
CONTROL_URL = "http://127.0.0.1:8080"
URL_VARIABLE, CONTROL_URL_VARIABLE = "PLAZA_URL", "PLAZA_CONTROL_URL"
KEY_VARIABLE = "PLAZA_API_KEY"
CHUNK = 1 << 18
NAME = "idempotency-key"


@dataclass(frozen=True, slots=True)
class Hub:
    """The two addresses of a hub and the key; `api_key` None takes it from `PLAZA_API_KEY`.

    `once` is the Idempotency-Key of what is written. Without it administrative writes get one of
    their own, and inferences too if they are `named`. `patience_s` None is `PATIENCE_S`, but for an
    inference without such a key no patience at all.
    """

    url: str
    control_url: str
    api_key: str | None
    patience_s: float | None = None
    named: bool = False
    once: str | None = None

    @staticmethod
    def at(
        url: str | None,
        control_url: str | None,
        api_key: str | None,
        patience_s: float | None = None,
        *,
        named: bool = False,
    ) -> Hub:
        """What is not given is in the environment, or the hub is on this machine."""
        return Hub(
            url or os.environ.get(URL_VARIABLE) or URL,
            control_url or os.environ.get(CONTROL_URL_VARIABLE) or CONTROL_URL,
            api_key,
            patience_s,
            named,
        )

    def for_one(self, once: str | None) -> Hub:
        """This hub for requests that are done once, under a name of their own if it is None."""
        return dataclasses.replace(self, once=once, named=True)

    def arguments(self, call: Call[Any]) -> dict[str, Any]:
        """Of httpx's `build_request`, all but the content. Made once for all tries."""
        base = self.url if call.to == "inference" else self.control_url
        headers = dict(call.headers)
        key = self.api_key or os.environ.get(KEY_VARIABLE)
        if key:
            headers["authorization"] = f"Bearer {key}"
        name = self._name(call)
        if name is not None:
            headers[NAME] = name
        return {
            "method": call.method,
            "url": base.rstrip("/") + call.path,
            "params": call.query(),
            "headers": headers,
        }

    def tries(self, call: Call[Any], arguments: Mapping[str, Any], pace: Pace[Any]) -> Tries:
        if call.method == "GET" or call.reads:
            safe = Safe.READS
        elif NAME in arguments["headers"] or isinstance(call.content, FileBody):
            safe = Safe.SAME
        else:
            safe = Safe.NOT
        patience = self.patience_s
        if patience is None:
            patience = PATIENCE_S if safe is not Safe.NOT else 0.0
        return Tries(safe, pace, patience_s=patience, once_more=self.patience_s != 0)

    def _name(self, call: Call[Any]) -> str | None:
        """The Idempotency-Key, for what the hub heeds one for."""
        if call.method == "GET" or call.reads or isinstance(call.content, FileBody):
            return None
        if call.to == "inference":
            own = self.named
        else:
            if not call.path.startswith("/api/"):
                return None
            own = self.patience_s != 0 or self.named
        # An upload is several requests, which one name cannot mean.
        if self.once and not call.path.startswith("/api/v1/uploads"):
            return self.once
        return str(uuid4()) if own else None


def finish(call: Call[T], response: httpx.Response) -> T:
    """The result of a call, or the PlazaError that the answer holds."""
    if not response.is_success:
        raise error_from(response.status_code, response.headers, response.content)
    content = response.content if call.save is None else b""
    try:
        return call.read(Answer(response.status_code, response.headers, content))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PlazaError(
            "unexpected_answer",
            "the answer does not have the expected shape; do client and hub fit together?",
            status=response.status_code,
            request_id=response.headers.get("x-request-id"),
        ) from error


@contextmanager
def arriving(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the name `path` once the block has ended without an error."""
    fresh = path.with_name(f".{path.name}.part")
    try:
        with fresh.open("wb") as file:
            yield file
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def unreachable(error: httpx.TransportError) -> Unreachable:
    """Timeouts and lost connections, without the text of lower layers."""
    url = error.request.url
    where = f"{url.scheme}://{url.netloc.decode()}"
    if isinstance(error, httpx.TimeoutException):
        return Unreachable(f"no answer in time from {where}")
    return Unreachable(f"no connection to {where}; does the hub run, and is this its address?")


def read_chunks(body: FileBody) -> Iterator[bytes]:
    """From the file's beginning, whatever was sent before."""
    if body.on_begin is not None:
        body.on_begin()
    with body.path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
            if body.on_chunk is not None:
                body.on_chunk(chunk)


def file_headers(body: FileBody) -> dict[str, str]:
    return {"content-length": str(body.path.stat().st_size)}


def as_method(method: F, build: Callable[..., Any]) -> F:
    """Let `help()` show `method` with the parameters of `build` and the result, not the Call."""
    shown = inspect.signature(build)
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    result = str(shown.return_annotation).partition("[")[2].removesuffix("]")
    method.__signature__ = shown.replace(  # type: ignore[attr-defined]  # PEP 362 allows it
        parameters=[this, *shown.parameters.values()], return_annotation=result
    )
    return method
