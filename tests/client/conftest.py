import asyncio

import pytest

import plaza
from tests.client.both import Blocking, Time
from tests.client.hub import KEY, MiniHub, State
from tests.client.sockets import serving


@pytest.fixture(scope="session")
def mini_hub():
    hub = MiniHub()
    with serving(hub) as address:
        yield hub, address


@pytest.fixture
def state(mini_hub):
    hub, _ = mini_hub
    hub.state = State()
    return hub.state


@pytest.fixture
def address(mini_hub, state):
    return mini_hub[1]


@pytest.fixture
def arguments(address):
    return {"url": address, "control_url": address, "api_key": KEY}


@pytest.fixture(params=["sync", "async"])
def connect(request):
    """A function that makes a client; closed afterwards."""
    if request.param == "sync":
        made = []

        def make(**arguments):
            made.append(plaza.Client(**arguments))
            return made[-1]

        yield make
        for client in made:
            client.close()
    else:
        with asyncio.Runner() as runner:
            made = []

            def make(**arguments):
                made.append(plaza.AsyncClient(**arguments))
                return Blocking(made[-1], runner)

            yield make
            for client in made:
                runner.run(client.close())


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def control_address(world):
    """Where the real control of a file's `world` answers."""
    with serving(world.app) as address:
        yield address


@pytest.fixture
def hub(world, control_address, connect):
    """Its operator, by both clients in turn."""
    return connect(control_url=control_address, api_key=world.operator)
