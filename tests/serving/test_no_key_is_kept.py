"""Fifty keys work for a while, well and badly, and sent to wrong places. Then every byte that is
left is searched: only `admin.key` holds a key.

Searched are all log lines, all answers but the ones that show a new key, and every file of the
state directory: databases, spool, table cache, blobs, uploads, secrets.
"""

from __future__ import annotations

import logging

import pytest

from plaza_serving.control.logs import JsonLines
from plaza_serving.control.main import ADMIN_KEY_FILE
from tests.serving.misplaced import (
    kept,
    misplace_at_control,
    misplace_at_the_door,
    upload_wrongly,
    work,
)
from tests.serving.whole import whole_hub

MADE = 25
"""And each of them is rotated."""


class Kept(logging.Handler):
    """The lines that a log file would have, at the most talkative level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(JsonLines())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def log():
    kept, root = Kept(), logging.getLogger()
    before = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    yield kept
    root.setLevel(before)
    root.removeHandler(kept)


@pytest.fixture
async def hub(tmp_path, log):
    async with whole_hub(tmp_path) as opened:
        yield opened


async def test_after_fifty_keys_at_work_no_key_is_anywhere_but_in_its_file(hub, log, monkeypatch):
    engineer = await hub.new_key(role="engineer")
    await hub.register(engineer)
    issued = [engineer]
    for number in range(MADE):
        key = await hub.new_key(label=f"gateway {number}", role=["consumer", "admin"][number % 2])
        path = f"/api/v1/organisations/acme/keys/{key.split('_')[1]}/rotate"
        new = (await hub.made("POST", path, {"overlap_s": 600}, quiet=True))["key"]
        issued += [key, new]
    for number, key in enumerate(issued):
        await work(hub, key)
        if number % 5 == 0:
            await misplace_at_the_door(hub, key)
            await misplace_at_control(hub, key)
            await upload_wrongly(hub, hub.admin, key)

    def broken(*_, **__):
        raise RuntimeError(f"a bug that quotes {issued[0]}")

    monkeypatch.setattr(hub.parts.tenancy.audit, "list", broken)
    assert (await hub.control("GET", "/api/v1/audit"))[0] == 500
    monkeypatch.undo()
    for path in ("usage?organisation=acme&by=key", "audit?organisation=*&limit=1000",
                 "organisations/acme/keys", "models", "status"):  # fmt: skip
        await hub.made("GET", f"/api/v1/{path}")

    assert len(issued) > 50
    searched = {"the log": "\n".join(log.lines).encode(), "answers": b"\n".join(hub.said)}
    for path in hub.state.rglob("*"):
        if path.is_file() and path.name != ADMIN_KEY_FILE:
            searched[str(path.relative_to(hub.state))] = path.read_bytes()
    assert kept([*issued, hub.admin], searched) == []
    identities_are_where_they_belong(searched, issued)


def identities_are_where_they_belong(searched, issued):
    """The search would have found them: ids of the same keys are in each of these."""
    for where in ("the log", "answers", "plaza.db", "cache/table-main.json"):
        assert issued[-1].split("_")[1].encode() in searched[where], where
    assert any(name.startswith("spool/") and content for name, content in searched.items())
