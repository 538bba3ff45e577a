"""Search through a running hub: an English and a Chinese index, and a bill that is exact."""

import pytest

import plaza
from tests.hub.waiting import until

pytestmark = pytest.mark.hub

CASES = {
    "light": "the street light in front of my house is broken",
    "hole": "a deep pothole in the road damaged my tyre",
    "trash": "garbage bins were not emptied this week",
    "noise": "loud music from the bar all night",
    "tree": "a tree fell over the pavement after the storm",
}
CHINESE = {
    "灯": "小区门口的路灯坏了，晚上很黑",
    "坑": "马路上有一个大坑，车胎爆了",
    "垃圾": "垃圾桶一周没有人清理",
    "噪音": "楼下酒吧半夜放音乐太吵",
}


def documents_of(cases):
    return [plaza.Document(name, text) for name, text in cases.items()]


def embedding_charge(hub, name):
    used = hub.admin.usage(by="model", organisation=name)
    return sum(one.charge for one in used if one.labels["model"] == "sentence-embedder")


def test_english_by_meaning_and_words_and_the_ledger_has_every_unit(hub, organisation):
    name, _, client = organisation
    client.indexes.create("cases", model="sentence-embedder")
    put = until(lambda: client.indexes.put("cases", documents_of(CASES)))
    assert (put.added, put.documents) == (5, 5)
    assert put.charge > 0
    spent = put.charge
    for query, meant in {
        "street lamp does not work": "light",
        "potholes in roads": "hole",
        "rubbish bin is full of garbage": "trash",
        "music too loud": "noise",
        "fallen trees": "tree",
    }.items():
        found = client.indexes.search("cases", query, limit=3)
        assert found.mode == "hybrid"
        assert meant in [hit.id for hit in found.items], query
        spent += found.charge
    free = client.indexes.search("cases", "pothole", mode="keywords")
    assert ([hit.id for hit in free.items], free.charge) == (["hole"], 0)
    again = client.indexes.put("cases", documents_of(CASES))
    assert (again.unchanged, again.charge) == (5, 0)
    until(lambda: embedding_charge(hub, name) == spent)


def test_chinese_by_n_grams_of_characters(hub, organisation):
    _, _, client = organisation
    client.indexes.create("anjian")
    client.indexes.put("anjian", documents_of(CHINESE))
    for query, meant in {
        "路灯不亮": "灯",
        "路面大坑": "坑",
        "垃圾清理": "垃圾",
        "酒吧太吵": "噪音",
    }.items():
        assert client.indexes.search("anjian", query).items[0].id == meant
    client.indexes.delete("anjian", ["灯"])
    assert "灯" not in [hit.id for hit in client.indexes.search("anjian", "路灯不亮").items]


def test_a_budget_that_is_used_up_ends_putting_and_not_searching_by_words(hub, organisation):
    name, key, client = organisation
    client.indexes.create("cases", model="sentence-embedder")
    until(lambda: client.indexes.put("cases", documents_of(CASES)))
    hub.admin.quotas.set(name, 0, key=key.split("_")[1])

    def refused():
        try:
            client.indexes.search("cases", "street lamp")
        except plaza.PlazaError as error:
            return error.code == "quota_exceeded"
        return False

    until(refused)
    assert client.indexes.search("cases", "street", mode="keywords").items[0].id == "light"
    with pytest.raises(plaza.PlazaError) as caught:
        client.indexes.put("cases", [plaza.Document("new", "one more")])
    assert caught.value.code == "quota_exceeded"
    assert client.indexes.show("cases").documents == 5


def test_nobody_else_hears_of_it(hub, organisation, key):
    _, _, client = organisation
    client.indexes.create("cases")
    client.indexes.put("cases", documents_of(CASES))
    stranger = hub.client(key)
    for ask in (
        lambda: stranger.indexes.show("cases"),
        lambda: stranger.indexes.search("main.cases", "light"),
        lambda: stranger.indexes.documents("cases"),
    ):
        with pytest.raises(plaza.PlazaError) as caught:
            ask()
        assert caught.value.code == "not_found"
    assert stranger.indexes.list() == []
