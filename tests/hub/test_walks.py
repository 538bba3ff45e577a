"""The walks of the documentation, typed as they stand by somebody who has never been here."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hub.typed import blocks, clean_environment, missing, typed

pytestmark = pytest.mark.hub

WALKS = Path(__file__).parents[2] / "docs" / "walks"
FIVE_MINUTES_S = 300


NAMES = ["register-to-traffic", "bad-rollout"]


@pytest.fixture(scope="module")
def walked(hub, tmp_path_factory):
    """Both at once, by two people: most of the time each waits for the hub."""

    def walk(name):
        home = tmp_path_factory.mktemp(name)
        # Where `plaza up` would have left it: the pages run a hub in the same directory.
        (home / ".plaza").mkdir()
        (home / ".plaza" / "admin.key").write_text(hub.admin_key)
        settings = {"PLAZA_URL": hub.url, "PLAZA_CONTROL_URL": hub.control_url}
        return typed(WALKS / f"{name}.md", home, clean_environment(home, **settings))

    with ThreadPoolExecutor(len(NAMES)) as people:
        return dict(zip(NAMES, people.map(walk, NAMES), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_walk_does_what_it_says_within_five_minutes(walked, capsys, name):
    page, walk = WALKS / f"{name}.md", walked[name]
    with capsys.disabled():
        print(  # noqa: T201 how long it took is for people
            f"\n{name}: {len(walk.outputs)} blocks in {walk.seconds:.1f} s"
        )
    for (commands, expected), output in zip(blocks(page), walk.outputs, strict=False):
        line = missing(expected, output)
        assert line is None, f"{commands}\ndid not say: {line}\nbut:\n{output}"
    assert walk.status == 0, walk.outputs[-1]
    assert len(walk.outputs) == len(blocks(page))
    assert walk.seconds < FIVE_MINUTES_S


def test_every_walk_is_typed():
    assert {page.stem for page in WALKS.glob("*.md")} == set(NAMES)


def test_an_output_is_compared_by_its_fixed_parts_in_order():
    output = "model   version\ncars          2  staged\nnext: look\n"
    assert missing("model version\n…\nnext: …\n", output) is None
    assert missing("cars … staged\n", output) is None
    assert missing("cars … serving\n", output) == "cars … serving"
    assert missing("next: look\nmodel version\n", output) == "model version"
