"""Indexes are kept whole: one publication after another, each all or nothing, within limits.

One suite for SQL and for the twin in memory.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from plaza_core.errors import Conflict, InvalidInput, NotFound, PlazaError, QuotaExceeded
from plaza_core.held import Held
from plaza_core.ids import OrganisationId, ProjectId
from plaza_core.indexes import IndexInfo, IndexMoved, IndexStore, Publication
from plaza_core.principal import Right, Role, TenantScope
from plaza_core.testing import FakeClock
from plaza_core.testing_indexes import MemoryIndexes
from plaza_tenancy.nodes import Kind, Node
from tests.tenancy.world import open_tenancy


@dataclass
class Told:
    """`mine` is of the project `main`, `whole` of its organisation, `lab` of another project;
    `other` is of another organisation."""

    store: IndexStore
    mine: TenantScope
    whole: TenantScope
    lab: TenantScope
    other: TenantScope


def put(told, index, body=b"x", documents=1, start=None):
    """Publish one segment over what is there now; `start` None keeps all of it."""
    now = told.store.get(told.mine, index.name)
    start = len(now.segments) if start is None else start
    return told.store.publish(
        told.mine, index.id, Publication(now.generation, start, body, documents)
    )


class Every:
    """What holds of every IndexStore."""

    def test_an_index_is_made_found_listed_and_dropped(self, told):
        made = told.store.create(told.mine, "cases", model="plaza.shared.minilm", version=3)
        assert (made.name, made.project_name, made.documents, made.bytes) == ("cases", "main", 0, 0)
        assert (made.model, made.version) == ("plaza.shared.minilm", 3)
        assert made.created_by == told.mine.actor
        assert told.store.get(told.mine, "main.cases") == made
        assert list(told.store.list(told.whole)) == [made]
        told.store.drop(told.mine, "cases")
        assert list(told.store.list(told.whole)) == []
        with pytest.raises(NotFound):
            told.store.get(told.mine, "cases")

    def test_a_name_is_taken_once_in_a_project(self, told):
        told.store.create(told.mine, "cases")
        with pytest.raises(Conflict):
            told.store.create(told.whole, "cases", project="main")
        told.store.create(told.lab, "cases")
        with pytest.raises(NotFound, match=r"project\.index"):
            told.store.get(told.whole, "cases")
        assert told.store.get(told.whole, "lab.cases").project_name == "lab"
        assert told.store.get(told.mine, "cases").project_name == "main"

    @pytest.mark.parametrize("name", ["", "a.b", "Cases", "-", "a" * 64])
    def test_a_name_is_one_segment(self, told, name):
        with pytest.raises(InvalidInput):
            told.store.create(told.mine, name)

    def test_a_scope_of_the_whole_organisation_names_the_project(self, told):
        with pytest.raises(InvalidInput):
            told.store.create(told.whole, "cases")
        with pytest.raises(NotFound):
            told.store.create(told.whole, "cases", project="nowhere")
        with pytest.raises(NotFound):
            told.store.create(told.mine, "cases", project="lab")

    def test_publications_are_a_log(self, told):
        index = told.store.create(told.mine, "cases")
        put(told, index, b"one", 1)
        after = put(told, index, b"three", 3)
        assert (after.documents, after.bytes, after.generation) == (3, 8, 2)
        assert after.segments == (1, 2)
        bodies = [told.store.segment(told.mine, index.id, n) for n in after.segments]
        assert bodies == [b"one", b"three"]
        assert told.store.get(told.mine, "cases") == after

    def test_segments_give_way_to_one(self, told):
        index = told.store.create(told.mine, "cases")
        for body in (b"a", b"b", b"c"):
            put(told, index, body)
        after = put(told, index, b"bcd", 4, start=1)
        assert (after.segments, after.bytes) == ((1, 4), 4)
        assert told.store.segment(told.mine, index.id, 4) == b"bcd"
        with pytest.raises(NotFound):
            told.store.segment(told.mine, index.id, 2)

    def test_who_has_not_seen_the_last_publication_publishes_nothing(self, told):
        index = told.store.create(told.mine, "cases")
        after = put(told, index)
        with pytest.raises(IndexMoved):
            told.store.publish(told.mine, index.id, Publication(0, 0, b"late", 9))
        assert told.store.get(told.mine, "cases") == after

    def test_a_new_index_of_the_same_name_has_nothing_of_the_old_one(self, told):
        index = told.store.create(told.mine, "cases")
        put(told, index)
        told.store.drop(told.mine, "cases")
        again = told.store.create(told.mine, "cases")
        assert (again.id != index.id, again.documents, again.segments) == (True, 0, ())
        with pytest.raises(NotFound):
            told.store.publish(told.mine, index.id, Publication(1, 1, b"late", 2))

    @pytest.mark.parametrize("asker", ["lab", "other"])
    def test_what_is_in_it_does_not_exist_for_others(self, told, asker):
        index = told.store.create(told.mine, "cases")
        put(told, index)
        scope = getattr(told, asker)
        for ask in (
            lambda: told.store.get(scope, "cases"),
            lambda: told.store.get(scope, "main.cases"),
            lambda: told.store.drop(scope, "cases"),
            lambda: told.store.segment(scope, index.id, 1),
            lambda: told.store.publish(scope, index.id, Publication(1, 0, b"", 0)),
        ):
            with pytest.raises(NotFound):
                ask()
        assert list(told.store.list(scope)) == []
        assert told.store.get(told.mine, "cases").documents == 1

    def test_of_many_who_publish_at_once_each_is_told_exactly_what_became_of_it(self, told):
        index = told.store.create(told.mine, "cases")
        done, moved = [], []

        def publish(number: int) -> None:
            for _ in range(3):
                now = told.store.get(told.mine, "cases")
                new = Publication(now.generation, 0, b"%d" % number, now.documents + 1)
                try:
                    done.append(told.store.publish(told.mine, index.id, new).generation)
                except IndexMoved:
                    moved.append(number)

        threads = [threading.Thread(target=publish, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        now = told.store.get(told.mine, "cases")
        assert sorted(done) == list(range(1, now.generation + 1))
        assert now.documents == len(done) == 12 - len(moved)
        assert len(now.segments) == 1


class TestInMemory(Every):
    @pytest.fixture
    def told(self) -> Told:
        acme, city = OrganisationId("acme"), OrganisationId("city")
        main, lab, town = map(ProjectId, ("p_main", "p_lab", "p_town"))
        projects = {(acme, "main"): main, (acme, "lab"): lab, (city, "main"): town}
        return Told(
            MemoryIndexes(FakeClock(), projects),
            TenantScope(acme, main, "key_a"),
            TenantScope(acme, None, "key_b"),
            TenantScope(acme, lab, "key_c"),
            TenantScope(city, None, "key_d"),
        )


class TestOnSql(Every):
    @pytest.fixture
    def told(self, world, acme) -> Told:
        world.tenancy.projects.create(acme, "lab")
        world.organisation("city")

        def scope(organisation: str, project: str | None) -> TenantScope:
            return world.scope_of(
                organisation, Role.ENGINEER, Right.DOCUMENTS_WRITE, project=project
            )

        return Told(
            world.tenancy.indexes,
            scope("acme", "main"),
            scope("acme", None),
            scope("acme", "lab"),
            scope("city", None),
        )

    def test_indexes_outlive_the_process(self, told, world):
        index = told.store.create(told.mine, "cases")
        after = put(told, index, b"kept")
        again = world.reopened().indexes
        assert again.get(told.mine, "cases") == after
        assert again.segment(told.mine, index.id, 1) == b"kept"

    def test_counts_and_storage_are_limited(self, told, world):
        def hold(what: Held, limit: int | None, node: Node) -> None:
            scope = world.platform() if node.kind is Kind.ORGANISATION else told.whole
            world.tenancy.limits.set_holding(scope, node, what, limit)

        hold(Held.INDEXES, 1, Node(Kind.PROJECT, "main"))
        index = told.store.create(told.mine, "cases")
        with pytest.raises(QuotaExceeded):
            told.store.create(told.mine, "more")
        hold(Held.DOCUMENTS, 5, Node(Kind.ORGANISATION, "acme"))
        put(told, index, b"12345", 5)
        with pytest.raises(QuotaExceeded, match="may hold 5 documents and holds 5") as refused:
            put(told, index, b"6", 6)
        assert refused.value.input == "documents"
        hold(Held.DOCUMENTS, 2, Node(Kind.ORGANISATION, "acme"))
        put(told, index, b"1234", 4, start=0)  # fewer, though still too many
        hold(Held.DOCUMENTS, None, Node(Kind.ORGANISATION, "acme"))
        hold(Held.INDEX_BYTES, 6, Node(Kind.PROJECT, "main"))
        with pytest.raises(QuotaExceeded) as refused:
            put(told, index, b"5678", 8)
        assert refused.value.input == "index-bytes"
        assert told.store.get(told.mine, "cases").documents == 4
        held = {one.what: one.used for one in world.tenancy.limits.list(told.whole)[0].holdings}
        assert (held[Held.INDEXES], held[Held.DOCUMENTS], held[Held.INDEX_BYTES]) == (1, 4, 4)

    def test_limits_hold_when_several_indexes_grow_at_once(self, told, world):
        world.tenancy.limits.set_holding(
            world.platform(), Node(Kind.ORGANISATION, "acme"), Held.DOCUMENTS, 6
        )
        indexes = [told.store.create(told.mine, f"cases-{n}") for n in range(4)]
        refused = []

        def fill(index: IndexInfo) -> None:
            for count in (1, 2, 3):
                try:
                    put(told, index, b"x", count, start=0)
                except PlazaError as error:
                    refused.append(error.code)

        threads = [threading.Thread(target=fill, args=(index,)) for index in indexes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(one.documents for one in told.store.list(told.mine)) == 6
        assert set(refused) == {"quota_exceeded"}

    def test_several_processes_see_one_index(self, told, world, databases):
        if not databases.walled:
            pytest.skip("SQLite is for one process")
        second = open_tenancy(world.url, world.clock)
        try:
            index = told.store.create(told.mine, "cases")
            seen = second.indexes.get(told.mine, "cases")
            put(told, index, b"first")
            with pytest.raises(IndexMoved):
                second.indexes.publish(told.mine, index.id, Publication(seen.generation, 0, b"", 0))
            assert second.indexes.segment(told.mine, index.id, 1) == b"first"
        finally:
            second.close()

    def test_making_and_dropping_are_in_the_trail_and_putting_is_not(self, told, world):
        index = told.store.create(told.mine, "cases", model="m", version=1)
        put(told, index)
        told.store.drop(told.mine, "cases")
        drop, create = world.tenancy.audit.list(world.platform(), limit=2)
        assert (create.action, create.target) == ("index.create", "cases")
        assert (drop.action, drop.before["documents"], drop.actor) == (
            "index.drop",
            1,
            told.mine.actor,
        )
