"""Keys at work, and keys put into every wrong place that a hurried programmer tries.

`hub` is whatever has these: `ask` the data door, `control` and `made` the admin API, `until` the
door answers, and `admin`, a key. So the same is done to a hub in one process and to a real one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from tests.serving.control.conftest import bundle
from tests.serving.whole import ROWS


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


def kept(keys: Iterable[str], searched: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """(where, first letters of the key) for each that holds a key, or the secret of one."""
    return [
        (where, key[:8])
        for key in keys
        for where, content in searched.items()
        if key.encode() in content or key.split("_")[2].encode() in content
    ]
