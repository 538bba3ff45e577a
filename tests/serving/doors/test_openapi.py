"""The OpenAPI document: current, complete, and every example in it really works."""

import json
from pathlib import Path

import jsonschema
import pytest

from plaza_serving.doors import openapi

SNAPSHOT = Path(__file__).parents[3] / "contracts" / "openapi-inference.json"
DOCUMENT = openapi.document()
OPERATIONS = [
    (path, method, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
]


def resolve(node):
    """The document with every $ref replaced by what it names."""
    if isinstance(node, dict):
        if "$ref" in node:
            target = DOCUMENT
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            return resolve(target)
        return {key: resolve(value) for key, value in node.items()}
    return [resolve(value) for value in node] if isinstance(node, list) else node


def check(value, schema):
    jsonschema.Draft202012Validator(resolve(schema)).validate(value)


def test_the_snapshot_is_current():
    """`python -m plaza_serving.doors.openapi` writes it."""
    assert SNAPSHOT.read_text() == openapi.text()


def test_paths_and_methods_are_those_of_the_door(door):
    documented = {(method.upper(), path) for path, method, _ in OPERATIONS}
    served = {(route.method, route.template) for route in door.router.routes}
    assert documented == served - {("GET", "/v2/")}


def test_security_says_what_the_door_does(door):
    for route in door.router.routes:
        path = route.template.removesuffix("/") if route.template == "/v2/" else route.template
        operation = DOCUMENT["paths"][path][route.method.lower()]
        assert (operation.get("security") == []) == (route.right is None)


def test_the_document_is_well_formed():
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(resolve(schema))
    for path, _, operation in OPERATIONS:
        declared = [
            *DOCUMENT["paths"][path].get("parameters", []),
            *operation.get("parameters", []),
        ]
        in_path = {parameter["name"] for parameter in declared if parameter["in"] == "path"}
        assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}
        assert all(status.isdigit() for status in operation["responses"])
    text = json.dumps(DOCUMENT)
    for kind in ("schemas", "responses"):
        assert all(f'"#/components/{kind}/{name}"' in text for name in DOCUMENT["components"][kind])


def model_of(path):
    if path.startswith("/tei/"):
        return "classifier" if path.endswith("/predict") else "embedder"
    return "echo"


def examples():
    for path, method, operation in OPERATIONS:
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, example in content.get("examples", {}).items():
            yield pytest.param(path, method, operation, example["value"], id=f"{path}:{name}")


@pytest.mark.parametrize(("path", "method", "operation", "value"), list(examples()))
async def test_every_example_works_and_its_answer_fits(
    door, new_client, path, method, operation, value
):
    client = new_client(door, key="engineer")
    check(value, operation["requestBody"]["content"]["application/json"]["schema"])
    path = path.format(model=model_of(path), version="champion")
    answer = await client.send(method.upper(), path, value)
    assert answer.status == 200, answer.body
    response = operation["responses"]["200"]
    promised = {name for name, header in response["headers"].items() if header.get("required")}
    assert promised <= answer.headers.keys()
    optional = {name for name in answer.headers if name.startswith("x-plaza-")} - promised
    assert optional <= set(response["headers"])
    check(answer.json(), response["content"][answer.headers["content-type"]]["schema"])


@pytest.mark.parametrize(
    ("path", "method", "operation"),
    [pytest.param(*one, id=one[0]) for one in OPERATIONS if one[1] == "get"],
)
async def test_every_get_answers_as_it_says(client, path, method, operation):
    answer = await client.get(path.format(model=model_of(path), version="1"))
    media = answer.headers["content-type"].partition(";")[0]
    schema = operation["responses"]["200"]["content"][media].get("schema")
    if schema is not None:
        check(answer.json(), schema)


@pytest.mark.parametrize(
    ("path", "method", "operation"),
    [pytest.param(*one, id=one[0]) for one in OPERATIONS if one[1] == "post"],
)
async def test_every_error_fits_its_schema(door, new_client, path, method, operation):
    client = new_client(door, key="engineer")
    answer = await client.post(path.format(model=model_of(path), version="1"), b"{")
    assert answer.status == 400
    promised = resolve(operation["responses"]["400"])
    check(answer.json(), promised["content"]["application/json"]["schema"])


async def test_the_page_shows_all_and_loads_nothing(client):
    answer = await client.get("/docs")
    page = answer.body.decode()
    for path, _, _ in OPERATIONS:
        assert f"<code>{path}</code>" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "src=" not in page
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert (await client.get("/openapi.json")).json() == DOCUMENT
