"""Whatever is killed, the hub answers again by itself and the books balance (short form).

The full form, with more rounds and every child and with the times that are promised, is
`make prove`: how soon a process starts depends on who else uses the machine. Raylet, dashboard and
`ray start` are killed there only: the supervisor watches them as it watches GCS, or waits for them
as for control, and ends the same head.
"""

import random

import pytest

from benchmarks.chaos_rounds import ROUNDS, chaos_round
from plaza_serving.supervisor.sockets import listeners, owners

pytestmark = pytest.mark.hub

PATIENCE = 4
"""Times the promise: an answer must come back, on a machine that does other work as well."""


HEAD = {"gcs"}
"""With it all of Ray is ended, the ingress too, and a stand-in answers on its port."""
SHORT = [round_ for round_ in ROUNDS if round_.name not in {"raylet", "dashboard", "ray start"}]


def test_nothing_of_a_node_can_be_reached_from_others(hub):
    mine = owners([hub.process.pid, *(process.pid for process in hub.descendants())])
    own = [one for one in listeners() if one.inode in mine]
    assert len(own) > 5
    assert [one for one in own if not one.local] == []


@pytest.mark.parametrize("round_", SHORT, ids=lambda r: r.name)
def test_killed_under_traffic(hub, round_):
    dice = random.Random(round_.name)
    result = chaos_round(hub, round_, before_s=1.0, after_s=2.0, dice=dice)
    assert result.held(PATIENCE * round_.back_within_s), result
    if round_.name in HEAD:
        assert result.refused
        assert not result.unopened, "503, never a refused connection"
