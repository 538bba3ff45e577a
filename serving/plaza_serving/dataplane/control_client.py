"""The replica's side of control's internal API: table, heartbeats, leases, blobs and usage.

Every failure to reach control is one error, Unavailable; callers keep working from what they have.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

import httpx
from pydantic import ValidationError

from plaza_core.budget import Grants, LeaseAsks, Recall
from plaza_core.certificate import NodeCertificate
from plaza_core.errors import Conflict, LedgerUnavailable, NotFound, QuotaExceeded, Unavailable
from plaza_core.inference import UsageRecord
from plaza_core.table import Heartbeat, HeartbeatReply, HubTable
from plaza_core.usage_wire import to_lines

_CHUNK = 1 << 20
_EXCHANGE_S = 2.0


class ControlClient:
    """One client per replica. Async for what the loop awaits, sync for what threads do."""

    def __init__(self, url: str, node_token: str) -> None:
        headers = {"authorization": f"Bearer {node_token}"}
        self._async = httpx.AsyncClient(base_url=url, headers=headers, timeout=5, trust_env=False)
        self._sync = httpx.Client(base_url=url, headers=headers, timeout=10, trust_env=False)

    async def fetch(self, known: str | None, wait_s: float) -> HubTable | None:
        """TableSource: the table once it differs from `known`, else None after `wait_s`."""
        headers = {} if known is None else {"if-none-match": f'"{known}"'}
        try:
            answer = await self._async.get(
                "/internal/v1/table",
                params={"wait": f"{wait_s:g}"},
                headers=headers,
                timeout=httpx.Timeout(5, read=wait_s + 5),
            )
        except httpx.HTTPError as error:
            raise Unavailable("control cannot be reached") from error
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            return None
        _expect_ok(answer)
        return await asyncio.to_thread(HubTable.model_validate_json, answer.content)

    async def beat(self, heartbeat: Heartbeat) -> HeartbeatReply:
        try:
            answer = await self._async.post(
                "/internal/v1/heartbeats",
                content=heartbeat.model_dump_json(),
                headers={"content-type": "application/json"},
            )
        except httpx.HTTPError as error:
            raise Unavailable("control cannot be reached") from error
        _expect_ok(answer)
        return HeartbeatReply.model_validate_json(answer.content)

    async def exchange(self, asks: LeaseAsks, *, recall: int | None = None) -> Grants:
        """LeaseChannel: tell and ask about leases; `recall` marks the returns to a recall."""
        try:
            answer = await self._async.post(
                "/internal/v1/leases",
                params={} if recall is None else {"recall": recall},
                content=asks.model_dump_json(),
                headers={"content-type": "application/json"},
                timeout=_EXCHANGE_S,
            )
        except httpx.HTTPError as error:
            raise Unavailable("control cannot be reached") from error
        _expect_ok(answer)
        try:
            return Grants.model_validate_json(answer.content)
        except ValidationError as error:
            raise Unavailable("control answered something else") from error

    async def recalls(self, replica: str, after: int, wait_s: float) -> Recall | None:
        """LeaseChannel: what control recalls after number `after`, else None after `wait_s`."""
        try:
            answer = await self._async.get(
                "/internal/v1/recalls",
                params={"replica": replica, "after": after, "wait": f"{wait_s:g}"},
                timeout=httpx.Timeout(5, read=wait_s + 5),
            )
        except httpx.HTTPError as error:
            raise Unavailable("control cannot be reached") from error
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
        _expect_ok(answer)
        return Recall.model_validate_json(answer.content)

    @contextlib.contextmanager
    def open_blob(self, sha256: str) -> Iterator[Iterator[bytes]]:
        try:
            with self._sync.stream("GET", f"/internal/v1/blobs/{sha256}") as answer:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    raise NotFound("no such blob", input=sha256)
                _expect_ok(answer)
                yield answer.iter_bytes(_CHUNK)
        except httpx.HTTPError as error:
            raise Unavailable("the bundle cannot be fetched now", retry_after=5) from error

    def ship(self, lines: bytes) -> None:
        """Commit usage to the ledger, one record per line. Idempotent."""
        try:
            answer = self._sync.post(
                "/internal/v1/usage",
                content=lines,
                headers={"content-type": "application/x-ndjson"},
            )
        except httpx.HTTPError as error:
            raise Unavailable("control cannot be reached") from error
        _expect_ok(answer)

    def append(self, records: Sequence[UsageRecord]) -> None:
        """UsageSink for nodes whose disk does not outlive the replica (`PLAZA_SPOOL=remote`)."""
        try:
            self.ship(to_lines(records))
        except Unavailable as error:
            raise LedgerUnavailable("usage cannot be recorded now", retry_after=5) from error

    def keep(self, made: NodeCertificate) -> None:
        """Hand a certificate to control. Raises Unavailable."""
        try:
            answer = self._sync.post(
                "/internal/v1/certificates",
                content=made.model_dump_json(),
                headers={"content-type": "application/json"},
            )
        except httpx.HTTPError as error:
            raise Unavailable("control cannot be reached") from error
        _expect_ok(answer)

    async def tell(self, path: str, body: bytes) -> bytes:
        """POST JSON to the internal API. Raises Unavailable, QuotaExceeded, Conflict."""
        try:
            answer = await self._async.post(
                path, content=body, headers={"content-type": "application/json"}
            )
        except httpx.HTTPError as error:
            raise Unavailable("control cannot be reached") from error
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise QuotaExceeded("control has no room for this", retry_after=60)
        if answer.status_code == httpx.codes.CONFLICT:
            raise Conflict("control refuses this; try again", retry_after=1)
        _expect_ok(answer)
        return answer.content

    async def close(self) -> None:
        await self._async.aclose()
        self._sync.close()


def _expect_ok(answer: httpx.Response) -> None:
    if answer.status_code != httpx.codes.OK:
        raise Unavailable(f"control answered {answer.status_code}")
