"""The description of the admin API: current, complete, and one that clients can be made from."""

import json
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from plaza_serving.control import shapes
from plaza_serving.control.openapi import document
from plaza_serving.control.shapes.base import Taken

CONTRACT = Path(__file__).parents[3] / "contracts" / "openapi-admin.json"


@pytest.fixture(scope="module")
def described():
    return json.loads(document())


def operations(described):
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_contract_is_current():
    """After a wanted change: python -m plaza_serving.control.openapi > the file."""
    assert CONTRACT.read_text() == document()


def test_it_is_openapi_3_1(described):
    assert described["openapi"].startswith("3.1")


def test_every_operation_has_a_tag_a_summary_and_a_name_of_its_own(described):
    names = [operation["operationId"] for _, operation in operations(described)]
    assert len(set(names)) == len(names)
    for name, operation in operations(described):
        assert operation["tags"], name
        assert operation["summary"], name


def test_all_but_health_ask_for_a_key_and_refuse_in_one_shape(described):
    for name, operation in operations(described):
        if name in {"GET /healthz", "GET /readyz"}:
            assert "security" not in operation
            continue
        assert operation["security"] == [{"key": []}], name
        for status in ("4XX", "5XX"):
            schema = operation["responses"][status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}, name
        assert "422" not in operation["responses"], "the framework's own shape"


def test_every_body_forbids_unknown_fields_and_shows_an_example_that_fits(described):
    modules = [
        import_module(found.name) for found in iter_modules(shapes.__path__, f"{shapes.__name__}.")
    ]
    found = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    bodies = [kind for kind in found if issubclass(kind, Taken) and kind is not Taken]
    schemas = described["components"]["schemas"]
    assert {kind.__name__ for kind in bodies} - set(schemas) == {"CliRedeem"}, "for `plaza login`"
    for kind in bodies:
        schema = schemas.get(kind.__name__) or kind.model_json_schema()
        assert schema["additionalProperties"] is False
        for example in schema["examples"]:
            kind.model_validate_json(json.dumps(example))
    assert len(bodies) >= 34


def test_every_whole_number_that_is_taken_has_a_largest(described):
    """A database, or arithmetic with floats, has one too, and would meet it as a fault."""
    taken = [
        [operation.get("parameters", []), operation.get("requestBody", {})]
        for _, operation in operations(described)
    ]
    seen, waiting = set(), [taken]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += found
        elif isinstance(found, dict):
            if found.get("type") == "integer":
                assert found.get("maximum", 2**63) < 2**63, found
            waiting += found.values()
        elif isinstance(found, str) and found.startswith("#/components/") and found not in seen:
            seen.add(found)
            waiting.append(described["components"]["schemas"][found.rpartition("/")[2]])
    assert len(seen) > 30


async def test_it_is_served_as_it_is_kept(world, described):
    assert (await world.ask(None, "GET", "/openapi.json")).json() == described
