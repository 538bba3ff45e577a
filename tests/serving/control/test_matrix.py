"""Every route of control × {owner, another project's key, another organisation's, revoked, none}.

Each route is tried on real objects of one project. Who has no business with them gets the very
answer that something which never existed would get, and no answer ever holds an id or a name of
theirs. A route without a row in `matrix.py` fails the test: a new one states what it shows to whom.
"""

from __future__ import annotations

import pytest
from fastapi.routing import iter_route_contexts

from tests.serving.control.matrix import MATRIX
from tests.serving.control.orchid import Tenants


def test_every_route_has_its_row(world):
    found = {
        f"{method} {route.path_format.replace(':path', '')}"
        for route in iter_route_contexts(world.app.routes)
        for method in route.methods
    }
    assert found == set(MATRIX), "say in MATRIX what the route shows to whom"


@pytest.fixture
async def tenants(world, make_bundle):
    found = Tenants(world)
    await found.settle(make_bundle)
    return found


@pytest.mark.parametrize("who", ["owner", "project", "stranger", "revoked", "none"])
async def test_each_is_answered_as_the_matrix_says_and_hears_of_nothing_foreign(tenants, who):
    for name, row in MATRIX.items():
        answer = await tenants.call(name, who)
        expected = getattr(row, who, row.owner if row.public else 401)
        assert answer.status_code == expected, (name, answer.text)
        assert not tenants.leaks(answer, who), name
        if expected >= 400 and answer.content:
            assert set(answer.json()) == {"error", "code", "input", "request_id"}, name


async def test_what_is_foreign_is_told_like_what_never_was(tenants):
    def said(answer):
        body = answer.json()
        return answer.status_code, body["error"], body["code"], body["input"]

    compared = 0
    for name, row in MATRIX.items():
        for who in ("project", "stranger"):
            if getattr(row, who) == 404 and not row.public:
                real = await tenants.call(name, who)
                assert said(real) == said(await tenants.call(name, who, about_nothing=True)), name
                compared += 1
    assert compared >= 30


async def test_the_owner_sees_what_the_others_were_denied(tenants):
    """Otherwise the matrix would be silent because nothing is there."""
    shown, settled = "", tenants.things | tenants.home
    for name in MATRIX:
        if name.startswith("GET /api"):
            shown += (await tenants.call(name, "owner")).text
    assert {thing for thing in settled if thing not in shown} == set()


async def test_nothing_of_the_lab_was_changed_by_those_who_may_not(tenants):
    before = None
    for who in ("project", "stranger", "revoked", "none"):
        for name in MATRIX:
            await tenants.call(name, who)
        ended = [k for k in await tenants.lab() if k.get("revoked_unix_us")]
        gone = [m for m in await tenants.lab() if m.get("removed_unix_us")]
        models = [m for m in await tenants.lab() if "versions" in m]
        assert (ended, gone) == ([], [])
        assert before in {None, str(models)}
        before = str(models)
    assert all(k["replaced_by"] is None for k in await tenants.lab() if "replaced_by" in k)
