"""Anomalies, warnings and tables, by the SDK through the real door and the real family."""

from datetime import UTC, datetime

import numpy as np
import pytest

import plaza
from tests.client.test_real_door import hub, kit  # noqa: F401 fixtures
from tests.models.forecast import small

MODEL = "forecast-quantile"
WATCH = plaza.WarningLevel("watch", 10)
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


async def test_anomalies_of_one_series_and_of_several(hub):  # noqa: F811 a fixture
    found = await hub.anomalies([5, 5, 5, 5, 5, 50], model=MODEL)
    assert (found.first, found.quantiles) == (4, tuple(small.LEVELS))
    assert found.scores[0] == pytest.approx(0)
    assert found.scores[1] > 0.99
    assert found.series[0].values.shape == (5, 2)
    assert found.cost.charge > 0
    many = await hub.anomalies(np.ones((2, 6)), model=MODEL, steps=2, every=2)
    assert len(many.series) == 2


async def test_a_warning_hands_its_state_on(hub):  # noqa: F811
    first = await hub.warn([12] * 4, model=MODEL, levels=[WATCH], at=NOON)
    assert (first.level, first.since) == ("watch", "2026-07-01T12:00:00Z")
    (said,) = first.series[0].levels
    assert (said.enter, said.leave, said.false_alarms) == (0.5, 0.25, None)
    assert said.chance == max(said.chances)
    later = {"levels": [WATCH], "at": "2026-07-01T13:00:00Z", "state": first.state}
    second = await hub.warn([9.5] * 4, model=MODEL, horizon=1, **later)
    assert (second.level, second.since) == ("watch", first.since)
    assert second.series[0].values.shape == (5, 1)
    quiet = await hub.warn([9.5] * 4, model=MODEL, levels=[WATCH])
    assert (quiet.level, quiet.since) == (None, None)


async def test_several_series_with_thresholds_of_their_own(hub):  # noqa: F811
    level = plaza.WarningLevel("many", (10, 1000), enter=0.6, leave=0.3)
    found = await hub.warn([[90.0] * 4, [90.0] * 4], model=MODEL, levels=[level])
    assert [one.level for one in found.series] == ["many", None]


async def test_a_table_comes_back_as_a_table_or_a_drawing(hub, tmp_path):  # noqa: F811
    text = "time,river\n" + "".join(f"2026-07-01T0{at}:00:00Z,{at}\n" for at in range(6))
    scored = await hub.table("anomalies", text, model=MODEL, steps=1)
    assert scored.content.decode().splitlines()[1].startswith("2026-07-01T05:00:00Z,5,")
    path = tmp_path / "river.csv"
    path.write_text(text)
    warned = await hub.table("warn", path, model=MODEL, levels=[WATCH])
    again = await hub.table(
        "warn", path, model=MODEL, levels=[WATCH], state=warned.state, at="2026-07-02T00:00:00Z"
    )
    assert again.state is not None
    ahead = await hub.table("forecast", text, model=MODEL, horizon=1, quantiles=[0.25, 0.5])
    row = "2026-07-01T06:00:00+00:00,1,5.25,5.5"
    assert ahead.content.decode().splitlines() == ["time,step,q0.25,q0.5", row]
    drawn = await hub.table("warn", path, model=MODEL, levels=[WATCH], form="svg")
    assert drawn.content.startswith(b"<svg")
    assert drawn.state is not None
