"""What a wire name means, and to whom."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import ModelNotFound
from plaza_core.ids import OrganisationId, ProjectId
from plaza_core.names import distance, resolve
from plaza_core.table import Visibility


@dataclass(frozen=True)
class Place:
    organisation_name: str
    project_name: str
    name: str
    visibility: Visibility
    shared_with: tuple[OrganisationId, ...] = ()

    @property
    def organisation(self) -> OrganisationId:
        return OrganisationId(f"org_{self.organisation_name}")

    @property
    def project(self) -> ProjectId:
        return ProjectId(f"prj_{self.organisation_name}_{self.project_name}")


def place(where: str, visibility: Visibility = Visibility.PROJECT) -> Place:
    return Place(*where.split("."), visibility)


ACME = OrganisationId("org_acme")
LAB = ProjectId("prj_acme_lab")
PUBLIC, INSIDE = Visibility.PUBLIC, Visibility.ORGANISATION


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("a", "acme.lab.a"),
        ("b", "acme.main.b"),
        ("c", "plaza.shared.c"),
        ("d", "city.main.d"),
        ("main.a", "acme.main.a"),
        ("shared.a", "plaza.shared.a"),
        ("plaza.shared.a", "plaza.shared.a"),
        ("city.main.a", "city.main.a"),
    ],
)
def test_a_name_means_the_nearest_model(name, meant):
    models = [
        place("city.main.a", PUBLIC),
        place("plaza.shared.a", PUBLIC),
        place("acme.main.a", INSIDE),
        place("acme.lab.a"),
        place("city.main.b", PUBLIC),
        place("plaza.shared.b", PUBLIC),
        place("acme.main.b", INSIDE),
        place("city.main.c", PUBLIC),
        place("plaza.shared.c", PUBLIC),
        place("city.main.d", PUBLIC),
    ]
    found = resolve(name, models, ACME, LAB)
    assert f"{found.organisation_name}.{found.project_name}.{found.name}" == meant


@pytest.mark.parametrize(
    "name", ["", "x", "a.b.c.d", "acme.lab.", ".a", "acme.main.a", "city.main.a"]
)
def test_what_is_not_there_and_what_is_not_yours_are_the_same(name):
    models = [place("acme.lab.a"), place("acme.main.a"), place("city.main.a", INSIDE)]
    with pytest.raises(ModelNotFound, match="Request for unknown model"):
        resolve(name, models, ACME, LAB)


def test_two_models_equally_near_are_not_chosen_between():
    models = [place("one.main.a", PUBLIC), place("two.main.a", PUBLIC)]
    with pytest.raises(ModelNotFound, match="several"):
        resolve("a", models, ACME, None)
    assert resolve("two.main.a", models, ACME, None) is models[1]


def test_a_stranger_cannot_take_over_the_name_of_a_shared_model():
    shared, squatter = place("plaza.shared.a", PUBLIC), place("aaa.main.a", PUBLIC)
    assert resolve("a", [squatter, shared], ACME, None) is shared


_places = st.builds(
    Place,
    st.sampled_from(["acme", "city", "plaza"]),
    st.sampled_from(["lab", "main"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(list(Visibility)),
)


@given(st.lists(_places, unique_by=lambda p: (p.organisation_name, p.project_name, p.name)))
def test_the_full_name_always_finds_what_is_visible_and_only_that(models):
    for model in models:
        full = f"{model.organisation_name}.{model.project_name}.{model.name}"
        if distance(model, ACME, LAB) is None:
            with pytest.raises(ModelNotFound):
                resolve(full, models, ACME, LAB)
        else:
            assert resolve(full, models, ACME, LAB) is model
