"""The catalogue: found by words, tags and filters, page by page, and only what may be called."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaza_core.errors import InvalidInput, ModelNotFound, QuotaExceeded
from plaza_core.principal import Right, Role
from plaza_core.table import Visibility
from plaza_tenancy.search import Filters, summary_of
from tests.tenancy.world import make_version

_numbers = itertools.count(1)
CARD = "---\nlicence: MIT\n---\n# Cars\n\nCounts Fahrzeuge on STRASSE cameras: 100%_sure.\n"


def add(world, scope, name, **more):
    world.tenancy.records.add_version(scope, make_version(next(_numbers), name=name, **more))


@pytest.fixture
def reader(world, acme):
    add(world, acme, "cars", card=CARD)
    add(world, acme, "trees", card="# Trees\n\nFinds trees.", visibility=Visibility.ORGANISATION)
    world.tenancy.search.tag(acme, "cars", add=["edge", "night"])
    return world.scope_of("acme", Role.CONSUMER, Right.MODELS_READ)


def found(world, scope, query="", **more):
    filters = Filters(**more)
    return [item.name for item in world.tenancy.search.find(scope, query, filters=filters).items]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["cars", "trees"]),
        ("CARS", ["cars"]),
        ("fahrzeuge cameras", ["cars"]),
        ("fahrzeuge trees", []),
        ("straße", ["cars"]),
        ("night", ["cars"]),
        ("tensor", ["cars", "trees"]),
        ("acme", ["cars", "trees"]),
        ("100%_", ["cars"]),
        ("100%%", []),
        ("tr_es", []),
        ("' OR 1=1 --", []),
    ],
)
def test_every_word_must_be_somewhere(world, reader, query, names):
    assert found(world, reader, query) == names


def test_filters_narrow(world, reader):
    assert found(world, reader, tags=["edge", "night"]) == ["cars"]
    assert found(world, reader, tags=["edge", "day"]) == []
    assert found(world, reader, family="tensor", organisation="acme") == ["cars", "trees"]
    assert found(world, reader, family="vision.detect") == []
    assert found(world, reader, visibility=Visibility.ORGANISATION) == ["trees"]
    assert found(world, reader, organisation="city") == []


def test_an_item_says_what_it_is_about(world, reader):
    (item,) = world.tenancy.search.find(reader, "cars").items
    assert (item.tags, item.version, item.family) == (["edge", "night"], 1, "tensor")
    assert item.summary == "Counts Fahrzeuge on STRASSE cameras: 100%_sure."
    assert item.aliases == {"champion": 1}


def test_a_new_card_is_found_beside_the_one_that_serves(world, reader, acme):
    add(world, acme, "cars", card="Now by radar.")
    assert found(world, reader, "radar") == found(world, reader, "fahrzeuge") == ["cars"]
    (item,) = world.tenancy.search.find(reader, "radar").items
    assert item.version == 1


@pytest.mark.parametrize("card", ["", "# Only\n", "---\nlicence: x\n---\n", "---\nbroken"])
def test_a_card_without_a_sentence_has_no_summary(card):
    assert summary_of(card) in {"", "broken"}


def test_tags_come_and_go_and_are_few(world, reader, acme):
    tag = world.tenancy.search.tag
    assert tag(acme, "cars", add=["city"], remove=["night"]) == ["city", "edge"]
    assert found(world, reader, "night") == []
    assert found(world, reader, "city") == ["cars"]
    with pytest.raises(QuotaExceeded):
        tag(acme, "cars", add=[f"t{n}" for n in range(19)])
    for wrong in ("Two Words", "", "a" * 64):
        with pytest.raises(InvalidInput):
            tag(acme, "cars", add=[wrong])
    city = world.organisation("city")
    with pytest.raises(ModelNotFound):
        tag(city, "acme.main.cars", add=["mine"])


def test_strangers_find_only_what_is_public_or_shared_with_them(world, reader, acme):
    city = world.organisation("city")
    guest = world.scope_of("city", Role.CONSUMER, Right.MODELS_READ)
    add(world, acme, "open", visibility=Visibility.PUBLIC)
    world.tenancy.visibility.share(acme, "trees", ["city"])
    add(world, city, "own")
    assert found(world, guest) == ["own", "open", "trees"], "its own first"
    assert found(world, guest, "fahrzeuge") == []
    project = world.scope_of("acme", Role.CONSUMER, Right.MODELS_READ, project="main")
    world.tenancy.projects.create(acme, "lab")
    other = world.scope_of("acme", Role.CONSUMER, Right.MODELS_READ, project="lab")
    assert (found(world, project), found(world, other)) == (
        ["cars", "open", "trees"],
        ["open", "trees"],
    )


@pytest.mark.parametrize("cursor", ["x", "", "bm8", "WzEsMl0", "WzAsImEiLCJiIiwzXQ"])
def test_a_cursor_of_somebody_elses_making_is_refused(world, reader, cursor):
    with pytest.raises(InvalidInput) as refused:
        world.tenancy.search.find(reader, after=cursor)
    assert refused.value.input == "after"


@settings(max_examples=15, deadline=None)
@given(size=st.integers(1, 5), count=st.integers(0, 9))
def test_pages_together_are_the_whole_list(shared_world, size, count):
    name = f"org{next(_numbers)}"
    scope = shared_world.organisation(name)
    for n in range(count):
        add(shared_world, scope, f"m{n}")
    pages, after = [], None
    while True:
        page = shared_world.tenancy.search.find(
            scope, filters=Filters(organisation=name), after=after, limit=size
        )
        pages.append([item.name for item in page.items])
        if (after := page.next) is None:
            break
    assert list(itertools.chain(*pages)) == [f"m{n}" for n in range(count)]
    assert all(len(page) == size for page in pages[:-1])
