"""What can go wrong, as a caller meets it: one exception with a stable code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class PlazaError(Exception):
    """The hub refused or failed. Decide by `code`; `message` is for people.

    `status` is the HTTP status, `input` the offending field, tensor or header, `request_id` what
    to tell the hub's operator, `retry_after` seconds after which trying again may help.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        input: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.input = input
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        about = f" ({self.input})" if self.input else ""
        return f"{self.code}: {self.message}{about}"


class Unreachable(PlazaError):
    """No answer: connection refused or lost, or the client's own timeout. `status` is None."""

    def __init__(self, message: str) -> None:
        super().__init__("unreachable", message)


def error_from(status: int, headers: Mapping[str, str], content: bytes) -> PlazaError:
    """The error in an answer: `{"error": message, "code", "input", "request_id"}`, or with the
    message inside of `error`, as OpenAI's endpoints tell it.

    Another body (a load balancer's page) becomes the code `http_<status>`.
    """
    fields = _object(content)
    code = fields.get("code")
    message = fields.get("error")
    if isinstance(message, dict):
        message = message.get("message")
    if not isinstance(message, str):
        code, message = None, f"the answer had status {status} and no explanation"
    return PlazaError(
        code if isinstance(code, str) else f"http_{status}",
        message,
        status=status,
        input=fields.get("input"),
        request_id=fields.get("request_id") or headers.get("x-request-id"),
        retry_after=_seconds(headers.get("retry-after")),
    )


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
