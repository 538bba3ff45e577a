"""What `make conformance` installs is what its clients ask for, exactly and with hashes."""

import re

import pytest

from benchmarks.conformance.environments import LOCKS, scripts
from benchmarks.conformance.locks import needs

_PINNED = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def same(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", needs())
def test_a_lock_pins_every_package_of_its_clients(name):
    pinned = dict(_PINNED.findall((LOCKS / f"{name}.txt").read_text()))
    for package in needs()[name]:
        asked, _, version = re.sub(r"\[.*\]", "", package).partition("==")
        asked = re.split(r"[<>=]", asked)[0]
        assert same(asked) in pinned
        assert not version or pinned[same(asked)] == version


@pytest.mark.parametrize("name", needs())
def test_nothing_is_installed_without_a_hash(name):
    text = (LOCKS / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


def test_no_lock_is_left_over():
    assert {path.stem for path in LOCKS.glob("*.txt")} == set(needs())


def test_what_may_leave_a_hub_in_disorder_runs_last():
    order = [script.last for script in scripts()]
    assert order == sorted(order)
    assert any(order)
