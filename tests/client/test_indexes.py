"""Both clients' verbs of search, against the real admin API."""

from __future__ import annotations

import pytest

import plaza
from plaza import _indexes
from tests.client.real import real_control

CASES = [
    plaza.Document("light", "street light broken", {"district": 3}),
    {"id": "hole", "text": "pothole in the road"},
    plaza.Document("lamp", "路灯坏了没人修"),
]


@pytest.fixture
def world(tmp_path):
    with real_control(tmp_path / "hub") as world:
        yield world


def test_an_index_from_its_making_to_its_end(hub):
    made = hub.indexes.create("cases")
    assert (made.name, made.project_name, made.model, made.documents) == (
        "cases",
        "shared",
        None,
        0,
    )
    done = hub.indexes.put("cases", CASES)
    assert (done.added, done.replaced, done.unchanged, done.documents) == (3, 0, 0, 3)
    assert hub.indexes.put("cases", CASES[:1]).unchanged == 1
    found = hub.indexes.search("cases", "路灯", limit=2)
    assert (found.mode, found.charge, [hit.id for hit in found.items]) == ("keywords", 0, ["lamp"])
    (hit,) = hub.indexes.search("cases", "street lamp", mode="keywords").items
    assert (hit.id, hit.facts, hit.keyword_rank, hit.cosine) == ("light", {"district": 3}, 1, None)
    assert hub.indexes.delete("cases", ["hole", "never"]) == 1
    page = hub.indexes.documents("shared.cases", limit=1)
    assert (page.items, page.next) == ([plaza.Document("lamp", "路灯坏了没人修")], "lamp")
    assert hub.indexes.documents("cases", after="lamp").items == [CASES[0]]
    assert [one.documents for one in hub.indexes.list()] == [2]
    hub.indexes.drop("cases")
    with pytest.raises(plaza.PlazaError) as caught:
        hub.indexes.show("cases")
    assert (caught.value.code, caught.value.input) == ("not_found", "index")


def test_many_documents_go_in_several_requests(hub, monkeypatch):
    monkeypatch.setattr(_indexes, "AT_ONCE", 4)
    hub.indexes.create("cases")
    done = hub.indexes.put("cases", ({"id": f"{n}", "text": f"case {n}"} for n in range(10)))
    assert (done.added, done.documents) == (10, 10)
    assert hub.indexes.put("cases", []).documents == 10


def test_a_search_may_be_sent_again_and_leaves_nothing_behind():
    call = _indexes.search("cases", "lights")
    assert (call.method, call.reads) == ("POST", True)
