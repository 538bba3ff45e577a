"""Names resolve from near to far, and other people's models do not exist."""

import pytest

from plaza_core.errors import ModelNotFound
from plaza_core.table import Visibility
from plaza_core.testing import FakeClock
from plaza_serving.dataplane.access import AccessTable
from plaza_serving.dataplane.catalogue import Catalogue
from tests.serving.dataplane.world import PEPPER, make_key, make_model, make_table


@pytest.fixture
def hub():
    models = [
        make_model("speed", organisation="acme", project="roads", versions=(2, 1)),
        make_model(
            "speed", organisation="acme", project="main", visibility=Visibility.ORGANISATION
        ),
        make_model("speed", organisation="plaza", visibility=Visibility.PUBLIC),
        make_model("secret", organisation="rival"),
    ]
    keys = {where: make_key("acme", where) for where in ("roads", "main", "other")}
    table = make_table(models, [entry for entry, _ in keys.values()])
    access = AccessTable(table, pepper=PEPPER, clock=FakeClock())
    callers = {w: access.authenticate(header).principal for w, (_, header) in keys.items()}
    return Catalogue(table), callers


def test_the_nearest_model_wins(hub):
    catalogue, callers = hub
    found = {w: catalogue.resolve(c, "speed", None).model.project_name for w, c in callers.items()}
    assert found == {"roads": "roads", "main": "main", "other": "main"}


def test_longer_names_say_which_one(hub):
    catalogue, callers = hub
    one = catalogue.resolve(callers["roads"], "plaza.main.speed", None)
    assert one.model.organisation_name == "plaza"
    assert catalogue.resolve(callers["roads"], "main.speed", None).model.project_name == "main"


def test_a_version_is_a_number_or_an_alias(hub):
    catalogue, callers = hub
    caller = callers["roads"]
    assert catalogue.resolve(caller, "speed", None).version.version == 2
    assert catalogue.resolve(caller, "speed", "1").version.version == 1
    assert catalogue.resolve(caller, "speed", "champion").version.version == 2


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("nothing", None),
        ("secret", None),
        ("rival.main.secret", None),
        ("speed", "3"),
        ("speed", "02"),
        pytest.param("speed", "9" * 5000, id="more digits than Python reads"),
        ("speed", "²"),
        ("speed", "nobody"),
        ("", None),
    ],
)
def test_what_is_not_there_and_what_is_not_yours_answer_alike(hub, name, version):
    catalogue, callers = hub
    with pytest.raises(ModelNotFound):
        catalogue.resolve(callers["roads"], name, version)


def test_the_catalogue_lists_what_a_caller_may_use(hub):
    catalogue, callers = hub
    listed = [r.model.organisation_name for r in catalogue.visible(callers["other"])]
    assert listed == ["acme", "plaza"]
