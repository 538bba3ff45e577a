"""What the children of one node are told about one another."""

import httpx

from plaza_serving.supervisor.children import joining, whole_hub
from plaza_serving.supervisor.places import Places
from plaza_serving.supervisor.standin import StandIn


async def test_replicas_yield_to_the_control_that_renews_their_leases(settings):
    places, stand_in = Places.of(settings), StandIn("127.0.0.1", settings.http_port)
    places.prepare()
    async with httpx.AsyncClient() as client:
        control, head = whole_hub(settings, places, client, stand_in)
        (node,) = joining("127.0.0.1:6379")(settings, places, client, stand_in)
    assert control.nicer == 0
    assert head.nicer == node.nicer > 0
