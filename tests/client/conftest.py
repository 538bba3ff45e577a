import pytest

from tests.client.hub import KEY, MiniHub, State, serving


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
