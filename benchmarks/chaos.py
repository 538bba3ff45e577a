"""Kill a process under traffic and account for every request.

Workers send requests on keep-alive connections and keep a journal of what became of each:

    ok        2xx, with the request id that the hub gave it
    refused   503 (or 429) with Retry-After: the hub said so honestly
    broken    cut off before a whole answer, or 500/502/504 of the ingress: in flight at the kill
    unopened  no connection could be made: nothing was sent
    wrong     anything else, which must never happen

The books must balance: every acknowledged id is in the ledger, and the ledger holds nothing that
was not sent: acknowledged ⊆ ledger ⊆ issued.
"""

from __future__ import annotations

import http.client
import itertools
import sqlite3
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_PAUSE_S = 0.05
"""A client that was refused or cut off waits this long before it tries again."""


@dataclass
class Journal:
    """What clients saw. Times are seconds on the monotonic clock."""

    counts: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    answers: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str, request_id: str | None = None, detail: str = "") -> None:
        with self.lock:
            self.counts[what] += 1
            if what == "ok" and request_id:
                self.acknowledged.add(request_id)
                self.answers.append(time.monotonic())
            if what == "wrong":
                self.wrong.append(detail)

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
        except (OSError, http.client.HTTPException):
            self.journal.note("broken")
            return False
        if answer.status == http.client.OK:
            self.journal.note("ok", answer.headers.get("x-request-id"))
            return True
        if answer.status in {503, 429} and answer.headers.get("retry-after"):
            self.journal.note("refused")
        elif answer.status in {500, 502, 504}:
            self.journal.note("broken")
        else:
            self.journal.note("wrong", detail=f"{answer.status} {text[:200]!r}")
        return False


def ledger_ids(state_dir: Path, organisation: str) -> set[str]:
    """Request ids of an organisation in the hub's SQLite ledger, read beside the hub."""
    with sqlite3.connect(f"file:{state_dir}/plaza.db?mode=ro", uri=True, timeout=10) as database:
        rows = database.execute(
            "SELECT request_id FROM usage JOIN organisations ON organisations.id = organisation"
            " WHERE organisations.name = ?",
            (organisation,),
        ).fetchall()
    return {row[0] for row in rows}


def wait_for_ledger(
    state_dir: Path, organisation: str, wanted: set[str], within_s: float
) -> set[str]:
    """The ledger once it holds all of `wanted`, or what it holds after `within_s`."""
    give_up = time.monotonic() + within_s
    while True:
        found = ledger_ids(state_dir, organisation)
        if wanted <= found or time.monotonic() > give_up:
            return found
        time.sleep(0.2)
