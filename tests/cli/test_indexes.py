"""`plaza indexes …` as it is typed."""

from __future__ import annotations

import json

import pytest

from tests.client.sockets import serving
from tests.serving.control.conftest import open_world


@pytest.fixture
def command(run, elsewhere, tmp_path):
    (tmp_path / "state").mkdir()
    world = open_world(tmp_path / "state")
    with serving(world.app) as address:
        hub = ("--control", address, "--key", world.operator)
        yield lambda *more: run(*hub, *more)
    world.parts.close_waits()
    world.parts.tenancy.close()


def test_documents_of_a_table_are_put_and_found(command, elsewhere):
    table = "case,what,district\n1,street light broken,3\n2,路灯坏了,\n"
    (elsewhere / "cases.csv").write_text(table, encoding="utf-8")
    assert command("indexes", "create", "cases").code == 0
    done = command("indexes", "put", "cases", "cases.csv", "--id", "case", "--text", "what")
    assert (done.code, done.err) == (0, "")
    found = command("indexes", "search", "cases", "broken light", "--limit", "1")
    assert "street light broken" in found.out
    assert "district=3" in found.out
    hits = json.loads(command("--json", "indexes", "search", "cases", "路灯").out)
    assert [hit["id"] for hit in hits["items"]] == ["2"]
    listed = json.loads(command("--json", "indexes", "list").out)
    assert [(one["name"], one["documents"]) for one in listed] == [("cases", 2)]
    assert "street light" in command("indexes", "documents", "cases").out


def test_documents_of_lines_are_put_and_deleted_and_the_index_dropped(command, elsewhere):
    lines = [{"id": "a", "text": "one"}, {"id": "b", "text": "two", "facts": {"n": 2}}]
    text = "\n\n".join(json.dumps(line) for line in lines)
    (elsewhere / "cases.jsonl").write_text(text)
    command("indexes", "create", "cases")
    done = json.loads(command("--json", "indexes", "put", "cases", "cases.jsonl").out)
    assert done["added"] == 2
    assert json.loads(command("--json", "indexes", "delete", "cases", "a", "c").out) == {
        "deleted": 1
    }
    assert "words only" in command("indexes", "show", "cases").out
    assert command("indexes", "drop", "cases").code == 0
    assert command("indexes", "show", "cases").code == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("cases.csv", "id,title\n1,x\n", "'text'"), ("cases.jsonl", '{"id": "a"\n', "line 1")],
)
def test_a_file_that_cannot_be_read_is_the_typists_mistake(command, elsewhere, name, content, said):
    (elsewhere / name).write_text(content)
    command("indexes", "create", "cases")
    refused = command("indexes", "put", "cases", name)
    assert refused.code == 2
    assert said in refused.err
