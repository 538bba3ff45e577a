"""The repository of a replica: what its index says of each version, and what load waits for."""

import asyncio

import httpx
import pytest

from plaza_core.errors import (
    BadRequest,
    Forbidden,
    InvalidBundle,
    ModelLoading,
    ModelNotFound,
    RateLimited,
    Unavailable,
)
from plaza_core.principal import Principal
from plaza_core.rollout import VersionState
from plaza_core.table import Visibility
from plaza_serving.dataplane.marks import ControlMarks
from plaza_serving.dataplane.memory import Memory
from plaza_serving.dataplane.repository import NO_ROOM_AHEAD, NOT_ASKED_FOR, FollowedRepository
from plaza_serving.repository import Meant, RepositoryState, Shelved
from tests.serving.dataplane.test_hosting import SizedFactory
from tests.serving.dataplane.world import make_key, make_model, make_table

READY, LOADING, UNAVAILABLE = RepositoryState


class Told:
    """Control: writes down what it is told, and answers with `refuse`."""

    def __init__(self):
        self.told, self.refuse = [], None

    async def mark(self, *what):
        self.told.append(what)
        if self.refuse is not None:
            raise self.refuse


class World:
    def __init__(self, kit):
        self.kit, self.control = kit, Told()
        catalogue = lambda: kit.plane.catalogue  # noqa: E731 the shortest way to say it
        self.repository = FollowedRepository(catalogue, kit.host, self.control, kit.clock)
        self.keys = []

    def caller(self, *place, **options) -> Principal:
        entry, text = make_key(*place, **options)
        self.keys.append(entry)
        return lambda: self.kit.plane.authenticate(text)

    async def serve(self, *models):
        await self.kit.serve(make_table(models, self.keys))

    def meant(self, caller, name="echo", version=None, within_s=5.0):
        deadline = self.kit.clock.monotonic_ns() + round(within_s * 1e9)
        return Meant(caller(), "Bearer mine", name, version, deadline)


@pytest.fixture
async def world(kit):
    return World(kit(factory=SizedFactory(broken={"broken"}), budget=20))


async def test_each_version_says_how_it_stands(world):
    caller = world.caller()
    await world.serve(make_model("echo", versions=(1, 2)), make_model("broken"))
    assert world.repository.index(caller()) == [
        Shelved("broken", 1, UNAVAILABLE, "invalid_bundle: broken"),
        Shelved("echo", 1, READY),
        Shelved("echo", 2, UNAVAILABLE, NOT_ASKED_FOR),
    ]


async def test_a_version_that_is_wanted_but_finds_no_room_says_so(world):
    caller = world.caller()
    await world.serve(*(make_model(name) for name in ("a", "b", "c")))
    found = {one.name: (one.state, one.reason) for one in world.repository.index(caller())}
    assert sorted(state for state, _ in found.values()) == [READY, READY, UNAVAILABLE]
    assert (UNAVAILABLE, NO_ROOM_AHEAD) in found.values()


async def test_a_version_under_way_is_loading(world):
    caller, model = world.caller(), make_model(versions=(1, 2))
    await world.serve(model)
    opening = asyncio.create_task(world.kit.host.demand((model.id, 2), model.versions[1]))
    await asyncio.sleep(0)
    assert world.repository.index(caller())[1].state is LOADING
    await opening
    assert world.repository.index(caller())[1].state is READY


async def test_to_look_is_not_to_use(world, monkeypatch):
    """Who leaves when room is needed is not changed by an index."""
    caller = world.caller()
    await world.serve(make_model("a"), make_model("b"))
    used = []
    monkeypatch.setattr(Memory, "used", lambda memory, key: used.append(key))
    world.repository.index(caller())
    assert used == []


async def test_a_name_in_the_index_means_that_model_to_the_caller(world):
    mine, side = world.caller("acme", "main"), world.caller("acme", None)
    public = {"visibility": Visibility.PUBLIC, "organisation": "globex", "project": "lab"}
    models = [
        make_model("echo"),
        make_model("echo", project="side", visibility=Visibility.ORGANISATION),
        make_model("echo", **public),
        make_model("rare", **public),
    ]
    await world.serve(*models)
    names = [one.name for one in world.repository.index(mine())]
    assert names == ["echo", "side.echo", "lab.echo", "rare"]
    for caller in (mine, side):
        for one in world.repository.index(caller()):
            world.kit.plane.model(caller(), one.name, str(one.version))
    assert "main.echo" in {one.name for one in world.repository.index(side())}


async def test_what_was_loaded_is_open_when_it_is_said(world):
    caller, model = world.caller(), make_model(versions=(1, 2))
    await world.serve(model)
    assert await world.repository.load(world.meant(caller, version="2")) == 2
    assert world.control.told == [("stage", "acme.main.echo", 2, "Bearer mine")]
    assert world.kit.host.standing((model.id, 2)) == "open"
    assert await world.repository.unload(world.meant(caller, version="2")) == 2
    assert world.control.told[1:] == [("unstage", "acme.main.echo", 2, "Bearer mine")]


async def test_a_loaded_version_stays_through_the_tables_that_follow(world):
    caller, model = world.caller(), make_model(versions=(1, 2))
    await world.serve(model)
    await world.repository.load(world.meant(caller, version="2"))
    staged = [
        one.model_copy(update={"state": VersionState.STAGED}) if one.version == 2 else one
        for one in model.versions
    ]
    await world.serve(model)
    await world.serve(model.model_copy(update={"versions": staged}))
    assert len(world.kit.factory.opened) == 2
    assert world.kit.host.standing((model.id, 2)) == "open"


async def test_without_a_version_the_champion_is_meant_else_the_newest(world):
    caller = world.caller()
    model = make_model(versions=(1, 3, 2))
    await world.serve(model)
    assert await world.repository.load(world.meant(caller)) == 1
    await world.serve(model.model_copy(update={"aliases": {}}))
    assert await world.repository.load(world.meant(caller)) == 3
    with pytest.raises(ModelNotFound):
        await world.repository.load(world.meant(caller, version="champion"))


@pytest.mark.parametrize("name", ["nothing", "globex.lab.secret"])
async def test_control_is_not_asked_about_what_the_caller_does_not_see(world, name):
    caller = world.caller()
    await world.serve(make_model("secret", organisation="globex", project="lab"))
    with pytest.raises(ModelNotFound):
        await world.repository.load(world.meant(caller, name))
    assert world.control.told == []


async def test_what_control_refuses_is_not_opened(world):
    caller, model = world.caller(), make_model(versions=(1, 2))
    await world.serve(model)
    world.control.refuse = Forbidden("not you")
    with pytest.raises(Forbidden):
        await world.repository.load(world.meant(caller, version="2"))
    assert world.kit.host.standing((model.id, 2)) is None


async def test_a_version_that_cannot_be_opened_is_not_loaded(world):
    caller = world.caller()
    await world.serve(make_model("broken"))
    with pytest.raises(InvalidBundle):
        await world.repository.load(world.meant(caller, "broken"))


async def test_a_load_ends_at_its_deadline_and_the_opening_goes_on(world):
    caller, model = world.caller(), make_model(versions=(1, 2, 3))
    await world.serve(model)
    users = [await world.kit.host.demand((model.id, n), model.versions[n - 1]) for n in (1, 2)]
    for hosted in users:
        hosted.users += 1  # nobody can leave: no room for a third
    with pytest.raises(ModelLoading):
        await world.repository.load(world.meant(caller, version="3", within_s=0.05))
    assert world.kit.host.standing((model.id, 3)) == "opening"
    users[0].leave()
    assert await world.repository.load(world.meant(caller, version="3")) == 3
    users[1].leave()


class TestMarks:
    """Control's answers, as they are raised on the replica."""

    @staticmethod
    async def marked(answer):
        asked = []

        def handle(request):
            asked.append(request)
            return answer

        marks = ControlMarks("http://control.test", transport=httpx.MockTransport(handle))
        try:
            await marks.mark("stage", "acme.main.echo", 2, "Bearer mine")
        finally:
            await marks.close()
        return asked[0]

    async def test_it_is_asked_with_the_callers_key_and_no_other(self):
        asked = await self.marked(httpx.Response(200, json={}))
        assert (asked.method, asked.url.path) == (
            "POST",
            "/api/v1/models/acme.main.echo/versions/2/stage",
        )
        assert asked.headers.get_list("authorization") == ["Bearer mine"]

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (403, "forbidden", Forbidden),
            (404, "model_not_found", ModelNotFound),
            (429, "rate_limited", RateLimited),
            (400, "bad_request", BadRequest),
        ],
    )
    async def test_a_refusal_keeps_code_words_field_and_time(self, status, code, kind):
        body = {"error": "so it is", "code": code, "input": "version", "request_id": "r"}
        answer = httpx.Response(status, json=body, headers={"retry-after": "7"})
        with pytest.raises(kind) as caught:
            await self.marked(answer)
        found = caught.value
        assert type(found) is kind
        assert (found.message, found.input, found.retry_after) == ("so it is", "version", 7.0)

    @pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"code": "made_up"}', b""])
    async def test_an_answer_that_is_not_controls_is_unavailable(self, content):
        with pytest.raises(Unavailable, match="502"):
            await self.marked(httpx.Response(502, content=content))

    async def test_nobody_there_is_unavailable(self):
        def refuse(request):
            raise httpx.ConnectError("no", request=request)

        marks = ControlMarks("http://control.test", transport=httpx.MockTransport(refuse))
        with pytest.raises(Unavailable, match="nothing was changed"):
            await marks.mark("stage", "echo", 1, "Bearer mine")
        await marks.close()
