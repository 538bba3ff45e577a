"""Fifty keys work for a while, well and badly, and sent to wrong places. Then every byte that is
left is searched: only `admin.key` holds a key.

Searched are all log lines, all answers but the ones that show a new key, and every file of the
state directory: databases, spool, table cache, blobs, uploads, secrets.
"""

from __future__ import annotations

import json
import logging

import pytest

from plaza_serving.control.logs import JsonLines
from plaza_serving.control.main import ADMIN_KEY_FILE
from tests.serving.control.conftest import bundle
from tests.serving.whole import ROWS, whole_hub

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


async def work(hub, key):
    """What keys are for, and requests that are refused."""
    await hub.until(200, key)
    assert (await hub.control("GET", "/api/v1/whoami", key=key))[0] == 200
    good = await hub.ask("POST", "/v2/models/doubler/infer", ROWS, key=key)
    assert good.status == 200, good.body
    for body in (b"{", {"inputs": []}, {"inputs": [{"name": "y"}]}):
        await hub.ask("POST", "/v2/models/doubler/infer", body, key=key)
    await hub.ask("POST", "/v2/models/nothing/infer", ROWS, key=key)
    await hub.ask("GET", "/v2", key=key[:-1])
    await hub.ask("GET", "/v2", key=key + "x")
    await hub.control("GET", "/api/v1/whoami", key=key[:-1])
    await hub.control("POST", "/api/v1/organisations", {"name": "x"}, key=key)


async def misplace_at_the_door(hub, key):
    """All that a hurried programmer tries."""
    infer = "/v2/models/doubler/infer"
    for query in (f"api_key={key}", f"key={key}", f"x={key}", f"{key}"):
        await hub.ask("GET", "/v2", key=key, query=query)
        await hub.ask("POST", infer, ROWS, query=query)
    for path in (f"/v2/models/{key}", f"/v2/models/{key}/infer", f"/{key}", f"/v2/{key}/x"):
        for method in ("GET", "POST"):
            await hub.ask(method, path, ROWS, key=key)
    tensor = {**ROWS["inputs"][0], "name": key}
    bodies = [
        key.encode(), json.dumps(key).encode(), {key: 1}, {"key": key, **ROWS},
        {"inputs": [tensor]}, {"inputs": ROWS["inputs"], "outputs": [{"name": key}]},
        {"inputs": ROWS["inputs"], "parameters": {key: key}}, {"id": key, **ROWS},
        {"inputs": [{**ROWS["inputs"][0], "datatype": key}]},
    ]  # fmt: skip
    for body in bodies:
        await hub.ask("POST", infer, body, key=key)
        await hub.ask("POST", "/v1/text/classify", body, key=key)
    classify = {"model": key, "input": [key]}
    await hub.ask("POST", "/v1/text/classify", classify, key=key)
    for name in ("x-api-key", "cookie", "x-request-id", "content-type", "content-encoding",
                 "inference-header-content-length", "x-plaza-deadline-ms", "accept"):  # fmt: skip
        await hub.ask("POST", infer, ROWS, key=key, headers={name: key})
    for value in (key, f"Basic {key}", f"Token {key}", f"bearer  {key} {key}"):
        await hub.ask("GET", "/v2", headers={"authorization": value})


async def misplace_at_control(hub, key):
    identity = key.split("_")[1]
    for path in (
        f"/api/v1/whoami?key={key}", f"/api/v1/usage?since={key}", f"/api/v1/usage?by={key}",
        f"/api/v1/models/{key}", f"/api/v1/organisations/{key}", f"/{key}",
        f"/api/v1/organisations/acme/keys/{key}", f"/auth/callback?code={key}&state={key}",
        f"/api/v1/whoami?x=%70lz_{key[4:]}", f"/auth/login?next=/{key}",
    ):  # fmt: skip
        for method in ("GET", "DELETE"):
            await hub.control(method, path)
    keys = "/api/v1/organisations/acme/keys"
    for path, body in (
        ("/api/v1/organisations", {"name": key}),
        ("/api/v1/organisations", {"name": "fresh", "title": key}),
        ("/api/v1/organisations", {"name": "fresh", key: "x"}),
        ("/api/v1/organisations/acme/projects", {"name": key}),
        (keys, {"role": "consumer", "label": key}),
        (keys, {"role": "consumer", "label": f"it is {key}"}),
        (keys, {"role": key}),
        (keys, {"role": "consumer", "rate": {"per_second": key, "burst": 1}}),
        (keys, key),
        (keys, key.encode()),
        (keys, [key]),
        (f"{keys}/{identity}/rotate", {"overlap_s": key}),
        (f"{keys}/{key}/rotate", {}),
        ("/api/v1/organisations/acme/members", {"email": f"{key}@a.test", "role": "admin"}),
        ("/internal/v1/usage", key.encode()),
    ):
        status, _ = await hub.control("POST", path, body)
        assert 400 <= status < 500, (path, status)
    for name in ("x-api-key", "cookie", "x-request-id", "content-type", "if-none-match"):
        await hub.control("GET", "/api/v1/whoami", headers={name: key})
    for value in (None, key, f"Basic {key}", f"Bearer {key}{key}"):
        await hub.control("GET", "/api/v1/whoami", headers={"authorization": value})


async def upload_wrongly(hub, admin, key):
    """Names of files and cards stay for long, and a card is shown to many."""
    for path in ("CARD.md", "plaza.yaml"):
        upload = (await hub.made("POST", "/api/v1/uploads", key=admin))["upload"]
        here = f"/api/v1/uploads/{upload}"
        assert (await hub.control("PUT", f"{here}/files/{key}", b"x", key=admin))[0] == 400
        files = bundle("doubler")
        files[path] += f"\n# call me with {key}\n".encode()
        for name, content in files.items():
            await hub.made("PUT", f"{here}/files/{name}", content, key=admin)
        status, refused = await hub.control("POST", f"{here}/commit", {}, key=admin)
        assert (status, refused["code"], refused["input"]) == (422, "invalid_bundle", path)


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
    found = [
        (where, key[:8])
        for key in [*issued, hub.admin]
        for where, content in searched.items()
        if key.encode() in content or key.split("_")[2].encode() in content
    ]
    assert found == []
    identities_are_where_they_belong(searched, issued)


def identities_are_where_they_belong(searched, issued):
    """The search would have found them: ids of the same keys are in each of these."""
    for where in ("the log", "answers", "plaza.db", "cache/table-main.json"):
        assert issued[-1].split("_")[1].encode() in searched[where], where
    assert any(name.startswith("spool/") and content for name, content in searched.items())
