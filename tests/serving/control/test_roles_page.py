"""docs/roles.md says what the routes do when they are tried."""

from pathlib import Path

from plaza_core.principal import Right
from plaza_serving.control.roles_page import _OF_RIGHTS, page, verbs
from tests.serving.control.tries import TRIES

PAGE = Path(__file__).parents[3] / "docs" / "roles.md"


def test_the_page_is_current():
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_right_is_described():
    assert set(_OF_RIGHTS) == set(Right)


def test_the_page_says_of_every_verb_what_trying_it_shows():
    told = {verb.route: (verb.right, verb.operators) for verb in verbs()}
    tried = {name: (one.right, one.operators) for name, one in TRIES.items()}
    assert told == {name: tried[name] for name in told}
    assert not {name for name in tried if name.split(" ")[1].startswith("/api/")} - set(told)
