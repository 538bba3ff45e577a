"""Only a known, unexpired, correctly spelt key gets in, and only through its header."""

import pytest

from plaza_core.errors import Unauthenticated
from plaza_core.testing import FakeClock
from plaza_serving.dataplane.access import AccessTable
from tests.serving.dataplane.world import PEPPER, make_key, make_table


def access(*entries, clock=None):
    return AccessTable(make_table(keys=entries), pepper=PEPPER, clock=clock or FakeClock())


def test_a_key_names_its_organisation_and_project():
    entry, header = make_key("acme", "roads")
    caller = access(entry).authenticate(header)
    assert caller.principal.organisation_name == "acme"
    assert caller.principal.project_name == "roads"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda h: None,
        lambda h: "",
        lambda h: h.removeprefix("Bearer "),
        lambda h: h.replace("Bearer", "Basic"),
        lambda h: h[:-1] + ("a" if h[-1] != "a" else "b"),
        lambda h: h + "x",
        lambda h: "Bearer plz_" + "0" * 17 + "_" + "0" * 43 + "_000000",
    ],
)
def test_anything_else_is_refused(spoil):
    entry, header = make_key()
    with pytest.raises(Unauthenticated):
        access(entry).authenticate(spoil(header))


def test_a_key_of_another_hub_is_refused_although_well_formed():
    entry, _ = make_key()
    _, foreign = make_key()
    with pytest.raises(Unauthenticated):
        access(entry).authenticate(foreign)


def test_a_key_expires_even_when_it_was_just_checked():
    clock = FakeClock()
    entry, header = make_key(expires=clock.unix_us() + 1_000_000)
    table = access(entry, clock=clock)
    table.authenticate(header)
    clock.advance(1)
    with pytest.raises(Unauthenticated, match="expired"):
        table.authenticate(header)
