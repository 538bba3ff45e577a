"""Documents in, the right ones out; by one process or several, and never half."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from plaza_core.errors import (
    ConcurrencyExceeded,
    DamagedIndex,
    Forbidden,
    InvalidInput,
    NotFound,
    QuotaExceeded,
    RateLimited,
)
from plaza_core.ids import OrganisationId, ProjectId
from plaza_core.principal import TenantScope
from plaza_core.testing import FakeClock
from plaza_core.testing_indexes import MemoryIndexes
from plaza_models.search.segment import Document
from plaza_serving.searching import service
from plaza_serving.searching.embedding import Vectors
from plaza_serving.searching.service import Searching
from tests.serving.searching.embedders import NgramEmbedder

ACME, CITY = OrganisationId("acme"), OrganisationId("city")
MINE = TenantScope(ACME, ProjectId("p"), "key_a")
OTHER = TenantScope(CITY, ProjectId("q"), "key_b")
KEY = "the text of a key"
CASES = [
    Document("light", "street light broken on Market Street", '{"district":3}'),
    Document("hole", "pothole in the road"),
    Document("lamp", "路灯坏了没人修"),
]


@pytest.fixture
def store():
    return MemoryIndexes(FakeClock(), {(ACME, "main"): MINE.project, (CITY, "main"): OTHER.project})


@pytest.fixture
def embedder():
    return NgramEmbedder()


@pytest.fixture
def process(store, embedder):
    """One process of several on the same store."""
    return lambda **more: Searching(store, embedder, memory_bytes=1 << 20, **more)


@pytest.fixture
def searching(process, store):
    store.create(MINE, "cases", model="plaza.shared.minilm", version=3)
    store.create(MINE, "words")
    return process()


def found(searching, query, index="cases", **more):
    asked = {"limit": 5, "mode": None, "key": KEY, **more}
    return [one.document.id for one in searching.search(MINE, index, query, **asked).found]


def test_what_was_put_is_found_by_meaning_and_words(searching, embedder):
    put = searching.put(MINE, "cases", CASES, KEY)
    assert (put.added, put.replaced, put.unchanged, put.charge) == (3, 0, 0, 3)
    assert put.info.documents == 3
    answer = searching.search(MINE, "cases", "broken street lights", limit=2, mode=None, key=KEY)
    assert (answer.mode, answer.charge) == ("hybrid", 1)
    first = answer.found[0]
    assert first.document == CASES[0]
    assert (first.hit.keyword_rank, first.hit.vector_rank) == (1, 1)
    assert embedder.asked[-1] == (KEY, "plaza.shared.minilm", 3, ["broken street lights"])
    assert found(searching, "路灯", mode="keywords") == ["lamp"]
    assert found(searching, "holes in roads", mode="vectors")[0] == "hole"


def test_an_index_of_words_needs_no_model_and_no_key(searching, embedder):
    searching.put(MINE, "words", CASES, None)
    assert found(searching, "灯坏", "words", key=None) == ["lamp"]
    assert embedder.asked == []
    with pytest.raises(InvalidInput):
        found(searching, "灯坏", "words", mode="hybrid")


def test_what_is_there_already_is_not_embedded_again(searching, embedder):
    searching.put(MINE, "cases", CASES, KEY)
    again = searching.put(MINE, "cases", CASES, KEY)
    assert (again.added, again.unchanged, again.charge) == (0, 3, 0)
    assert again.info.generation == 1
    moved = Document("light", CASES[0].text, '{"district":4}')
    assert searching.put(MINE, "cases", [moved], KEY).charge == 0
    assert found(searching, "market street", mode="vectors")[0] == "light"
    changed = Document("light", "street light repaired")
    put = searching.put(MINE, "cases", [changed, CASES[1]], KEY)
    assert (put.replaced, put.unchanged, put.charge) == (1, 1, 1)
    asked = ["market street", "street light repaired"]
    assert embedder.texts == [*(one.text for one in CASES), *asked]
    assert found(searching, "market", mode="keywords") == []


def test_one_text_in_many_documents_is_embedded_once(searching, embedder):
    searching.put(MINE, "cases", [Document(f"{n}", "graffiti on a wall") for n in range(9)], KEY)
    assert embedder.texts == ["graffiti on a wall"]


def test_deleted_documents_are_found_no_more(searching):
    searching.put(MINE, "cases", CASES, KEY)
    info, deleted = searching.delete(MINE, "cases", ["light", "never", "light"])
    assert (info.documents, deleted) == (2, 1)
    assert "light" not in found(searching, "street light")
    assert searching.delete(MINE, "cases", ["light"])[1] == 0
    searching.delete(MINE, "cases", ["hole", "lamp"])
    assert found(searching, "anything") == []
    searching.put(MINE, "cases", CASES[:1], KEY)
    assert found(searching, "street light") == ["light"]


def test_documents_are_listed_by_id_page_by_page(searching):
    searching.put(MINE, "cases", CASES, KEY)
    first = searching.documents(MINE, "cases", after=None, limit=2)
    assert [one.id for one in first] == ["hole", "lamp"]
    assert searching.documents(MINE, "cases", after="lamp", limit=2) == [CASES[0]]


def test_a_refused_embedding_changes_nothing(searching, embedder):
    searching.put(MINE, "cases", CASES[:1], KEY)
    embedder.refusal = RateLimited("too many", retry_after=2)
    with pytest.raises(RateLimited):
        searching.put(MINE, "cases", CASES, KEY)
    with pytest.raises(RateLimited):
        found(searching, "hole")
    assert found(searching, "street", mode="keywords") == ["light"]
    assert [one.id for one in searching.documents(MINE, "cases", after=None, limit=9)] == ["light"]


def test_a_person_without_a_key_searches_by_words_only(searching):
    searching.put(MINE, "cases", CASES, KEY)
    assert found(searching, "pothole", mode="keywords", key=None) == ["hole"]
    with pytest.raises(Forbidden):
        found(searching, "pothole", key=None)
    with pytest.raises(Forbidden):
        searching.put(MINE, "cases", [Document("new", "something else")], None)


def test_an_id_comes_once_in_a_request(searching, embedder):
    with pytest.raises(InvalidInput) as refused:
        searching.put(MINE, "cases", [CASES[0], CASES[1], CASES[0]], KEY)
    assert refused.value.input == "documents.2.id"
    assert embedder.asked == []


def test_an_index_has_a_most_of_documents_and_is_told_before_it_is_charged(
    searching, process, embedder
):
    small = process(most_documents=3)
    small.put(MINE, "cases", CASES, KEY)
    with pytest.raises(QuotaExceeded):
        small.put(MINE, "cases", [Document("fourth", "one more")], KEY)
    small.put(MINE, "cases", [Document("hole", "filled")], KEY)
    assert "one more" not in embedder.texts


def test_other_organisations_indexes_do_not_exist(searching):
    searching.put(MINE, "cases", CASES, KEY)
    for ask in (
        lambda: searching.put(OTHER, "cases", CASES, KEY),
        lambda: searching.delete(OTHER, "main.cases", ["light"]),
        lambda: searching.documents(OTHER, "cases", after=None, limit=1),
        lambda: searching.search(OTHER, "cases", "light", limit=1, mode="keywords", key=KEY),
    ):
        with pytest.raises(NotFound):
            ask()


def test_each_process_answers_with_what_the_others_published(searching, process):
    second = process()
    for number in range(20):
        writer, reader = (searching, second) if number % 2 else (second, searching)
        writer.put(MINE, "cases", [Document(f"{number}", f"case number{number}")], KEY)
        assert found(reader, f"number{number}", mode="keywords") == [f"{number}"]
        if number % 3 == 2:
            reader.delete(MINE, "cases", [f"{number - 1}"])
            assert found(writer, f"number{number - 1}", mode="keywords") == []
    assert len(searching.documents(MINE, "cases", after=None, limit=99)) == 14
    assert found(process(), "case", mode="keywords") == found(searching, "case", mode="keywords")


def test_of_several_who_write_at_once_none_loses_anything(searching, process):
    processes = [searching, process(), process()]

    def write(who: int) -> None:
        for number in range(6):
            one = Document(f"{who}-{number}", f"text of {who} {number}")
            processes[who].put(MINE, "cases", [one], KEY)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = sorted(f"{who}-{number}" for who in range(3) for number in range(6))
    for one in processes:
        held = one.documents(MINE, "cases", after=None, limit=99)
        assert [document.id for document in held] == expected


def test_memory_is_bounded_and_what_left_is_read_again(store, embedder, searching):
    tight = Searching(store, embedder, memory_bytes=1)
    tight.put(MINE, "cases", CASES, KEY)
    assert tight.shelf.bytes == 0
    assert found(tight, "pothole", mode="keywords") == ["hole"]
    searching.put(MINE, "words", CASES, KEY)
    assert 0 < searching.shelf.bytes <= 1 << 20


def test_a_damaged_segment_is_named_as_such(searching, process, store):
    searching.put(MINE, "cases", CASES, KEY)
    (place,) = store._bodies
    store._bodies[place] = store._bodies[place][:-1] + b"?"
    with pytest.raises(DamagedIndex):
        found(process(), "light", mode="keywords")


async def test_an_organisation_has_so_many_requests_at_work_and_no_more(searching):
    go = threading.Event()
    waiting = [asyncio.ensure_future(searching.run(MINE, go.wait)) for _ in range(service.AT_ONCE)]
    await asyncio.sleep(0)
    with pytest.raises(ConcurrencyExceeded) as refused:
        await searching.run(MINE, go.wait)
    assert refused.value.retry_after == 1
    assert await searching.run(OTHER, lambda: "theirs") == "theirs"
    go.set()
    assert all(await asyncio.gather(*waiting))
    assert await searching.run(MINE, lambda: "again") == "again"


def test_a_model_that_gives_no_direction_leaves_the_words(searching, embedder):
    embedder.embed = lambda *_: Vectors(np.zeros((1, 4), np.float32), 0)
    searching.put(MINE, "cases", CASES[:1], KEY)
    (one,) = searching.search(MINE, "cases", "street", limit=5, mode=None, key=KEY).found
    assert (one.document.id, one.hit.vector_rank, one.hit.cosine) == ("light", None, None)


def test_a_text_that_cannot_be_embedded_is_named_as_it_was_sent(searching):
    searching.put(MINE, "cases", CASES[:1], KEY)
    with pytest.raises(InvalidInput) as refused:
        searching.put(MINE, "cases", [*CASES, Document("void", "!?")], KEY)
    assert refused.value.input == "documents.3.text"
    with pytest.raises(InvalidInput) as refused:
        searching.search(MINE, "cases", "!?", limit=1, mode=None, key=KEY)
    assert refused.value.input == "query"
