"""Keys: 256 secret bits, a checksum that catches typing errors, and nothing stored but a MAC."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core import keys
from plaza_core.errors import Unauthenticated

PEPPER = b"pepper"


def test_a_key_parses_to_what_was_issued():
    new = keys.issue(PEPPER, os.urandom)
    key_id, secret = keys.parse(new.text)
    assert key_id == new.id
    assert keys.matches(PEPPER, secret, new.mac)
    assert secret not in new.mac


def test_another_pepper_does_not_match():
    new = keys.issue(PEPPER, os.urandom)
    assert not keys.matches(b"other", keys.parse(new.text)[1], new.mac)


@given(st.data())
def test_one_wrong_character_is_noticed_without_a_lookup(data):
    text = keys.issue(PEPPER, os.urandom).text
    at = data.draw(st.integers(4, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[at]))
    with pytest.raises(Unauthenticated):
        keys.parse(text[:at] + other + text[at + 1 :])


def test_processes_that_start_together_agree_on_a_secret(tmp_path):
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(keys.node_secret(tmp_path / "s", "pepper", os.urandom))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert (tmp_path / "s" / "pepper").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["pepper"]
