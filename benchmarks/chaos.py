"""Kill a process under traffic and account for every request.

Workers send requests on keep-alive connections and keep a journal of what became of each:

    ok        2xx, with the request id that the hub gave it
    refused   503 (or 429) with Retry-After: the hub said so honestly
    denied    429 `quota_exceeded`: the budget is used up
    broken    cut off before a whole answer, or 500/502/504 of the ingress: in flight at the kill
    unopened  no connection could be made: nothing was sent
    wrong     anything else, which must never happen

What the journals say is held against the hub's books by `benchmarks.parties`.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

_PAUSE_S = 0.05
"""A client that was refused or cut off waits this long before it tries again."""


@dataclass
class Journal:
    """What clients saw. Times are seconds on the monotonic clock."""

    counts: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, int] = field(default_factory=dict)
    """Request id -> what its answer said it was charged."""
    answers: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    cuts: list[tuple[float, str]] = field(default_factory=list)
    """When a request was broken, and by what."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str, detail: str = "") -> None:
        with self.lock:
            self.counts[what] += 1
            if what == "wrong":
                self.wrong.append(detail)
            elif what == "broken":
                self.cuts.append((time.monotonic(), detail))

    def answered(self, request_id: str, charge: int) -> None:
        with self.lock:
            self.counts["ok"] += 1
            self.acknowledged[request_id] = charge
            self.answers.append(time.monotonic())

    @property
    def issued(self) -> int:
        return sum(n for what, n in self.counts.items() if what != "unopened")

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time without any acknowledged answer between two moments."""
        with self.lock:
            inside = sorted(t for t in self.answers if since <= t <= until)
        return max(b - a for a, b in itertools.pairwise([since, *inside, until]))

    def recent(self, seconds: float) -> float:
        """The longest gap of the last `seconds`."""
        now = time.monotonic()
        return self.longest_gap(now - seconds, now)


class Traffic:
    """`clients` threads that call one endpoint in a closed loop until stopped."""

    def __init__(
        self, port: int, path: str, body: bytes, headers: dict[str, str], clients: int
    ) -> None:
        self.journal = Journal()
        self.clients = clients
        self._port, self._path, self._body, self._headers = port, path, body, headers
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _work(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
        while not self._stop.is_set():
            if not self._connected(connection):
                self._stop.wait(_PAUSE_S)
                continue
            if not self._one(connection):
                connection.close()
                self._stop.wait(_PAUSE_S)
        connection.close()

    def _connected(self, connection: http.client.HTTPConnection) -> bool:
        if connection.sock is not None:
            return True
        try:
            connection.connect()
        except OSError:
            self.journal.note("unopened")
            return False
        return True

    def _one(self, connection: http.client.HTTPConnection) -> bool:
        """Send one request and note what became of it. False when the client should pause."""
        try:
            connection.request("POST", self._path, self._body, self._headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.journal.note("broken", detail=repr(error))
            return False
        if answer.status == http.client.OK:
            given = answer.headers
            self.journal.answered(given["x-request-id"], int(given["x-plaza-charge"]))
            return True
        self.journal.note(_kind(answer, text), detail=f"{answer.status} {text[:200]!r}")
        return False


def _kind(answer: http.client.HTTPResponse, text: bytes) -> str:
    if answer.status == 429 and json.loads(text)["code"] == "quota_exceeded":
        return "denied"
    if answer.status in {503, 429} and answer.headers.get("retry-after"):
        return "refused"
    return "broken" if answer.status in {500, 502, 504} else "wrong"
