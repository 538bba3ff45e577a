"""An alias moved in MLflow by hand is proposed here, and somebody with the right decides."""

import pytest

URL = "/api/v1/proposals"


@pytest.fixture
async def keys(world):
    return await world.organisation(
        "acme",
        engineer={"role": "engineer"},
        consumer={"role": "consumer"},
        auditor={"role": "auditor"},
    )


@pytest.fixture
async def there(world, keys, make_bundle):
    """The model `doubler` with two versions, as MLflow has it."""
    made = (await world.register(keys["engineer"], make_bundle("doubler"))).json()
    await world.register(keys["engineer"], make_bundle("doubler"))
    return world.tracker.models[made["model"]]


async def proposed(world, keys, **query):
    world.parts.registrar.mirror.poll()
    answer = await world.ask(keys["engineer"], "GET", URL, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def aliases(world, keys):
    return (await world.ask(keys["engineer"], "GET", "/api/v1/models/doubler")).json()["aliases"]


async def decide(world, key, proposal, verdict):
    return await world.ask(key, "POST", f"{URL}/{proposal}/{verdict}")


async def test_what_the_hub_says_itself_is_no_proposal(world, keys, there):
    url = "/api/v1/models/doubler/aliases/champion"
    for version in (2, 1, 2):
        await world.ask(keys["engineer"], "PUT", url, json={"version": version})
        world.parts.registrar.mirror.drain()
        assert await proposed(world, keys) == []
    assert there.aliases == {"champion": 2}


async def test_accepting_is_promoting_by_whoever_accepts(world, keys, there):
    there.aliases["champion"] = 2
    (one,) = await proposed(world, keys)
    assert (one["name"], one["alias"], one["present"], one["version"]) == (
        "doubler", "champion", 1, 2,
    )  # fmt: skip
    assert await aliases(world, keys) == {"champion": 1}, "nothing moves before somebody decides"

    answer = await decide(world, keys["engineer"], one["id"], "accept")

    assert answer.status_code == 200, answer.text
    assert answer.json()["proposal"]["state"] == "accepted"
    assert answer.json()["promotion"]["version"] == 2
    assert await aliases(world, keys) == {"champion": 2}
    again = await decide(world, keys["engineer"], one["id"], "accept")
    assert (again.status_code, again.json()["promotion"]) == (200, None)
    assert await proposed(world, keys) == []
    trail = (await world.ask(world.operator, "GET", "/api/v1/audit?organisation=acme")).json()
    moved = next(e for e in trail["items"] if e["action"] == "model.set_alias")
    opened = next(e for e in trail["items"] if e["action"] == "proposal.notice")
    assert moved["actor"] == answer.json()["proposal"]["decided_by"]
    assert (opened["actor"], opened["target"]) == ("system", one["id"])
    assert opened["after"]["champion"] == 2


async def test_rejecting_tells_mlflow_the_truth_again(world, keys, there):
    there.aliases["champion"] = 2
    (one,) = await proposed(world, keys)
    for _ in range(2):
        answer = await decide(world, keys["engineer"], one["id"], "reject")
        assert (answer.status_code, answer.json()["state"]) == (200, "rejected")
    world.parts.registrar.mirror.drain()
    assert there.aliases == {"champion": 1}
    assert await proposed(world, keys) == []
    late = await decide(world, keys["engineer"], one["id"], "accept")
    assert (late.status_code, late.json()["code"]) == (409, "conflict")


async def test_a_promotion_here_supersedes_what_was_proposed(world, keys, there, make_bundle):
    await world.register(keys["engineer"], make_bundle("doubler"))
    there.aliases["champion"] = 2
    (one,) = await proposed(world, keys)
    url = "/api/v1/models/doubler/aliases/champion"
    await world.ask(keys["engineer"], "PUT", url, json={"version": 3})
    world.parts.registrar.mirror.drain()
    assert there.aliases == {"champion": 3}
    (found,) = await proposed(world, keys, state="all")
    assert (found["id"], found["state"]) == (one["id"], "superseded")


async def test_a_hand_that_comes_between_promotion_and_poll_is_not_lost(world, keys, there):
    there.aliases["spare"] = 1
    url = "/api/v1/models/doubler/aliases/spare"
    await world.ask(keys["engineer"], "PUT", url, json={"version": 2})
    world.parts.registrar.mirror.drain()
    assert there.aliases["spare"] == 2
    (found,) = await proposed(world, keys)
    assert (found["alias"], found["version"], found["present"]) == ("spare", 1, 2)


async def test_taken_back_there_it_is_withdrawn_and_moved_on_it_is_another(world, keys, there):
    there.aliases["champion"] = 2
    await proposed(world, keys)
    there.aliases["champion"] = 1
    assert await proposed(world, keys) == []
    there.aliases["champion"] = 2
    await proposed(world, keys)
    del there.aliases["champion"]
    await proposed(world, keys)
    states = [(p["number"], p["state"]) for p in await proposed(world, keys, state="all")]
    assert sorted(states, key=str) == [(2, "superseded"), (2, "withdrawn"), (None, "open")]


async def test_what_is_no_version_here_cannot_be_accepted(world, keys, there):
    there.add(None)
    there.aliases["champion"] = 3
    (one,) = await proposed(world, keys)
    assert (one["version"], one["number"]) == (None, 3)
    answer = await decide(world, keys["engineer"], one["id"], "accept")
    assert answer.status_code == 409
    assert "import" in answer.json()["error"]


async def test_an_alias_deleted_there_is_deleted_here_except_the_champion(world, keys, there):
    url = "/api/v1/models/doubler/aliases/spare"
    await world.ask(keys["engineer"], "PUT", url, json={"version": 2})
    world.parts.registrar.mirror.drain()
    there.aliases.clear()
    found = {p["alias"]: p for p in await proposed(world, keys)}
    gone = await decide(world, keys["engineer"], found["spare"]["id"], "accept")
    assert (gone.status_code, gone.json()["proposal"]["state"]) == (200, "accepted")
    stays = await decide(world, keys["engineer"], found["champion"]["id"], "accept")
    assert stays.status_code == 409
    assert await aliases(world, keys) == {"champion": 1}


async def test_a_name_that_is_none_here_cannot_be_accepted(world, keys, there):
    there.aliases["Not_A_Name"] = 1
    (one,) = await proposed(world, keys)
    answer = await decide(world, keys["engineer"], one["id"], "accept")
    assert (answer.status_code, answer.json()["input"]) == (422, "alias")
    await decide(world, keys["engineer"], one["id"], "reject")
    world.parts.registrar.mirror.drain()
    assert there.aliases == {"champion": 1}


async def test_who_may_see_and_who_may_decide(world, keys, there):
    there.aliases["champion"] = 2
    (one,) = await proposed(world, keys)
    for reader in ("consumer", "auditor"):
        assert (await world.ask(keys[reader], "GET", URL)).json()["items"][0]["id"] == one["id"]
        for verdict in ("accept", "reject"):
            assert (await decide(world, keys[reader], one["id"], verdict)).status_code == 403
    stranger = (await world.organisation("globex", engineer={"role": "engineer"}))["engineer"]
    assert (await world.ask(stranger, "GET", URL)).json()["items"] == []
    for verdict in ("accept", "reject"):
        assert (await decide(world, stranger, one["id"], verdict)).status_code == 404
    assert await aliases(world, keys) == {"champion": 1}


async def test_a_model_that_mlflow_lost_is_told_again_and_nobody_is_asked(world, keys, there):
    before = dict(there.aliases)
    world.tracker.models.clear()
    assert await proposed(world, keys) == []
    world.parts.registrar.mirror.drain()
    (found,) = world.tracker.models.values()
    assert (found.aliases, sorted(found.versions)) == (before, [1, 2])
    assert await proposed(world, keys) == []


async def test_what_mlflow_heard_is_forgotten_after_a_week(world, keys, there):
    outbox = world.parts.tenancy.proposals
    url = "/api/v1/models/doubler/aliases/champion"
    world.clock.advance(6 * 86_400)
    await world.ask(keys["engineer"], "PUT", url, json={"version": 2})
    assert outbox.expire() == 0
    world.clock.advance(2 * 86_400)
    assert outbox.expire() == 4
    assert outbox.waiting().items == 3, "what MLflow has not heard stays however old it is"
