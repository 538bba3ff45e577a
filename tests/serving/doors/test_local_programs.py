"""The key of a developer's own machine: programs have it, pages and proxies' clients do not."""

import pytest

from plaza_core.settings import Settings
from plaza_serving.doors.http import HttpDoor
from plaza_serving.doors.local_programs import is_local

PLAIN = {b"host": b"localhost:8000"}


def asks(*, peer="127.0.0.1", **headers):
    named = {name.replace("_", "-").encode(): text.encode() for name, text in headers.items()}
    return is_local({"client": peer and (peer, 50_000)}, PLAIN | named)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.8.0.9",
                                  "[::1]:8000"])  # fmt: skip
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
def test_programs_of_this_machine_are_local(host, peer):
    assert asks(peer=peer, host=host)


@pytest.mark.parametrize("peer", ["10.0.0.7", "fe80::1", "unix:", None])
def test_other_peers_are_not(peer):
    assert not asks(peer=peer)


@pytest.mark.parametrize("host", ["", "hub.example", "localhost.example", "10.0.0.7:8000", "[::1%",
                                  "127.0.0.1.example"])  # fmt: skip
def test_a_name_of_others_that_leads_here_is_not(host):
    assert not asks(host=host)


@pytest.mark.parametrize("name", ["origin", "referer", "sec_fetch_site", "x_forwarded_for", "via",
                                  "forwarded", "x_real_ip"])  # fmt: skip
def test_pages_and_proxies_are_not(name):
    assert not asks(**{name: "localhost"})


@pytest.fixture
def home(hub, repository, new_client):
    class Near(new_client):
        """Its peer is this machine."""

        peer = ("127.0.0.1", 50_000)

    settings = Settings(loopback_key="engineer")
    return Near(HttpDoor(hub, settings, repository=repository), key=None)


NEAR = {"host": "127.0.0.1:8000"}


async def test_who_brings_no_key_has_that_one(home):
    assert (await home.get("/v2", headers=NEAR)).status == 200
    assert (await home.post("/v2/repository/models/echo/load", headers=NEAR)).status == 200
    assert (await home.get("/v2", headers=NEAR | {"origin": "http://a"})).status == 401


async def test_a_key_that_is_brought_counts(home):
    wrong = NEAR | {"authorization": "Bearer nobody"}
    assert (await home.get("/v2", headers=wrong)).status == 401


async def test_without_the_setting_a_key_is_needed(door, home):
    home.door = door
    assert (await home.get("/v2", headers=NEAR)).status == 401
