"""An organisation registers its forecaster, and is warned by it, through door, ledger and cell."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path

import numpy as np

from tests.serving.whole import whole_hub

BUNDLE = Path(__file__).parents[2] / "models" / "bundles" / "wet-bulb-forecaster"
LEVELS = "/v1/warning/level"
QUERY = "model=wet-bulb-forecaster"
CSV = {"content-type": "text/csv"}


def sheet(first_day: int, warmth: float) -> bytes:
    """A week of July that ends at midnight, and the hours of two days more."""
    lines = ["time,hour,day of the year,station"]
    for at in range(9 * 24):
        day, hour = first_day + at // 24, at % 24
        value = f"{warmth + 2 * np.sin((hour - 9) * np.pi / 12):.2f}" if at < 7 * 24 else ""
        lines.append(f"2026-07-{day:02}T{hour:02}:00:00,{hour},{181 + day},{value}")
    return "\n".join(lines).encode()


async def test_heat_is_warned_of_while_it_lasts_and_paid_for(tmp_path):
    async with whole_hub(tmp_path) as hub:
        engineer, key = await hub.new_key(role="engineer"), await hub.new_key()
        await hub.register(engineer, {path.name: path.read_bytes() for path in BUNDLE.iterdir()})

        async def ask(body, query=QUERY, **headers):
            return await hub.ask("POST", LEVELS, body, key=key, query=query, headers=CSV | headers)

        async with asyncio.timeout(30):
            while (cool := await ask(sheet(1, 4.0))).status != 200:
                assert cool.status in {404, 503}, cool.body
                await asyncio.sleep(0.05)
        assert (cool.json()["level"], cool.json()["at"]) == (None, "2026-07-07T23:00:00Z")
        hot = await ask(sheet(8, 12.5), f"{QUERY}&state={cool.json()['state']}")
        told = hot.json()
        assert told["level"] in {"hot", "very hot"}
        assert told["since"] == "2026-07-14T23:00:00Z"
        assert int(hot.headers["x-plaza-charge"]) > 0
        mild, severe = told["levels"]
        assert all(b <= a + 1e-9 for a, b in zip(mild["chances"], severe["chances"], strict=True))
        low, high = mild["false_alarms_range"]
        assert low <= mild["false_alarms"] <= high <= 0.15
        table = await ask(sheet(15, 12.5), f"{QUERY}&state={told['state']}", accept="text/csv")
        rows = list(csv.DictReader(io.StringIO(table.body.decode())))
        assert len(rows) == 48
        assert (rows[0]["time"], rows[0]["since"]) == ("2026-07-22T00:00:00", told["since"])
        assert json.loads(table.headers["x-plaza-state"])["raised"] != [{}]
        drawn = await ask(sheet(15, 12.5), accept="image/svg+xml")
        assert drawn.body.startswith(b"<svg")
        old = await ask(sheet(1, 12.5), f"{QUERY}&state={told['state']}")
        assert old.problem() == (422, "invalid_input", "state")
