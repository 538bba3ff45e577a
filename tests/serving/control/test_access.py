"""Deny by default: every route has a guard, and a generated matrix of routes and callers.

nobody, wrong key → 401      role without the right → 403      other organisation → 404
"""

import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from plaza_core.principal import RIGHTS, Role
from plaza_serving.control.guard import (
    NODE_ONLY,
    PUBLIC,
    Needs,
    NodeOnly,
    SessionOnly,
    check_all_guarded,
    guards,
)
from tests.serving.control.callers import Callers
from tests.serving.control.tries import ORG, TERMS, TRIES, UNFIT


def routes(app):
    for route in iter_route_contexts(app.routes):
        if route.path not in PUBLIC:
            for method in route.methods:
                yield f"{method} {route.path_format.replace(':path', '')}", route


def test_every_route_has_exactly_the_guard_written_here(world):
    found = {}
    for name, route in routes(world.app):
        (guard,) = guards(route)
        if isinstance(guard, NodeOnly):
            assert route.path.startswith("/internal/v1/")
        elif isinstance(guard, SessionOnly):
            assert route.path.startswith("/auth/")
        else:
            found[name] = guard.right
    assert found == {name: TRIES[name].right for name in TRIES}


def test_the_public_list_is_short(world):
    public = {r.path for r in iter_route_contexts(world.app.routes)} & PUBLIC
    login = {"/auth/login", "/auth/callback", "/auth/cli", "/auth/cli/redeem"}
    assert public == {"/healthz", "/readyz", "/openapi.json"} | login


def unguarded():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.get("/forgotten")(lambda: None)
    return app


def with_mount():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.mount("/console", Mount("/", routes=[Route("/", PlainTextResponse("hello"))]))
    return app


def with_two_guards():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    both = [NODE_ONLY, Depends(Needs(None, operator=False))]
    app.get("/both", dependencies=both)(lambda: None)
    return app


def with_docs():
    return FastAPI()


def with_socket():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.websocket("/socket")
    async def socket(websocket):
        await websocket.accept()

    return app


@pytest.mark.parametrize("make", [unguarded, with_mount, with_two_guards, with_docs, with_socket])
def test_an_application_with_a_hole_does_not_start(make):
    with pytest.raises(RuntimeError, match="guard"):
        check_all_guarded(make())


@pytest.fixture
async def callers(world, make_bundle):
    acme = await world.organisation("acme", **{r.value: {"role": r.value} for r in Role})
    for _ in range(3):
        made = await world.register(acme["engineer"], make_bundle("private"))
        assert made.status_code == 200, made.text
    for at in ("", "/projects/main"):
        set_ = await world.ask(world.operator, "PUT", f"{ORG}{at}/budget", **TERMS)
        assert set_.status_code == 200, set_.text
    return Callers(world, acme, await world.organisation("globex", admin={"role": "admin"}))


async def test_without_a_valid_key_nothing_answers(callers):
    for name in TRIES:
        for key in (None, callers.wrong, "nonsense"):
            assert await callers.call(name, key) == 401, (name, key)


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_gets_what_its_rights_say_and_no_more(callers, role):
    answers = {name: await callers.call(name, callers.acme[role]) for name in TRIES}
    for name, attempt in TRIES.items():
        entitled = attempt.right is None or attempt.right in RIGHTS[role]
        if attempt.operators or not entitled:
            assert answers[name] == 403, name
        elif name in UNFIT:
            assert answers[name] == UNFIT[name], name
        else:
            assert 200 <= answers[name] < 300, (name, answers[name])


async def test_for_an_admin_of_another_organisation_none_of_it_exists(callers):
    for name, attempt in TRIES.items():
        about_acme = attempt.path or attempt.whose
        status = await callers.call(name, callers.stranger)
        if about_acme:
            assert status == 404, name
        else:
            assert status == (403 if attempt.operators else 200), name


async def test_an_operator_may_do_all_of_it(callers):
    for name in TRIES:
        status = await callers.call(name, callers.world.operator, acting=True)
        if TRIES[name].private:
            assert status == 404, name
            continue
        assert status == UNFIT.get(name, status), name
        assert name in UNFIT or 200 <= status < 300, (name, status)


async def test_the_node_token_opens_no_admin_route(callers):
    for name in TRIES:
        assert await callers.call(name, callers.world.parts.node_token) == 401, name


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/whoami",
        "/api/v1//whoami",
        "/api/v1/whoami;x",
        "/API/v1/whoami",
        "/healthz/../api/v1/whoami",
        "/healthz%2f..%2fapi/v1/whoami",
        "/%2e%2e/api/v1/whoami",
        "/api/v1/whoami%00",
        "/readyz/api/v1/whoami",
    ],
)
async def test_no_spelling_of_a_path_gets_in_without_a_key(world, path):
    for host in ("control.test", "a/?x=", "x/healthz?"):
        async with world.client(None, host=host) as client:
            answer = await client.get(f"http://control.test{path}")
        assert answer.status_code in {401, 404}
