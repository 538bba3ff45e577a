"""A whole hub without Ray: what an organisation registers runs in its cell, and comes back."""

from __future__ import annotations

import asyncio
import json
import os
import signal

from tests.serving.whole import ROWS, whole_hub

INFER = "/v2/models/doubler/infer"


async def test_an_organisations_model_runs_in_a_cell_and_comes_back_when_that_dies(tmp_path):
    async with whole_hub(tmp_path) as hub:
        engineer = await hub.new_key(role="engineer")
        key = await hub.new_key()
        await hub.register(engineer)
        body = json.dumps(ROWS).encode()

        async def ask():
            answer = await hub.ask("POST", INFER, body, key=key)
            return answer.status, json.loads(answer.body)

        async with asyncio.timeout(30):
            while (found := await ask())[0] != 200:
                await asyncio.sleep(0.05)
        cells = hub.replica._cells
        ((pid, owner),) = cells.running().items()
        assert owner.startswith("org_")
        os.kill(pid, signal.SIGKILL)
        status, said = await ask()
        assert (status, said.get("code")) in {(503, "cell_died"), (200, None)}
        status, again = await ask()
        assert status == 200
        assert again["outputs"] == found[1]["outputs"]
        assert pid not in cells.running()
