import json
import types

import pytest

from plaza_serving.cli.main import main
from tests.client.conftest import mini_hub, state
from tests.client.hub import KEY
from tests.client.real import real_control
from tests.client.sockets import serving
from tests.tenancy.world import make_version

__all__ = ["mini_hub", "state"]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory and no setting from outside."""
    monkeypatch.chdir(tmp_path)
    for name in ("PLAZA_API_KEY", "PLAZA_STATE_DIR", "PLAZA_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run a command line in this process; returns its exit code, output and errors."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return types.SimpleNamespace(code=end.value.code, out=said.out, err=said.err)

    return run


@pytest.fixture
def plaza(run, mini_hub, state, elsewhere):
    """`plaza …` against the hub in miniature, as its operator."""
    address = mini_hub[1]

    def plaza(*arguments, key=KEY):
        return run("--url", address, "--control", address, "--key", key, *arguments)

    return plaza


@pytest.fixture
def answer(plaza):
    """The JSON that `plaza --json …` prints."""

    def answer(*arguments):
        done = plaza("--json", *arguments)
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)

    return answer


@pytest.fixture
def world(tmp_path):
    """A real control with the organisation `acme` and its model `cars`; some files have another."""
    with real_control(tmp_path / "state", ["acme"], [make_version(name="cars")]) as world:
        yield world


@pytest.fixture
def control_address(world):
    """Where the real control answers."""
    with serving(world.app) as address:
        yield address


@pytest.fixture
def command(world, run, elsewhere, control_address):
    """`plaza …` as its operator."""
    return lambda *more: run("--control", control_address, "--key", world.operator, *more)


@pytest.fixture
def answered(command):
    """What `plaza --json …` printed, which must have gone well."""

    def answered(*arguments):
        done = command("--json", *arguments)
        assert done.code == 0, done.err
        return json.loads(done.out)

    return answered
