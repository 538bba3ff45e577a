"""`plaza doctor` writes to the bucket, reads and cleans it, and says what is wrong with it."""

from __future__ import annotations

import secrets

import pytest

from plaza_core.settings import Settings
from plaza_serving.supervisor.doctor import Verdict, _blobs
from tests.registry.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY


@pytest.fixture
def named(tmp_path):
    """Settings of an S3 store; what is given replaces a part of them."""
    keys = tmp_path / "s3.toml"
    keys.touch(mode=0o600)
    keys.write_text(f'access_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n')

    def make(**more):
        usual = {"blobs": "s3://models/hub/one", "s3_keys_file": keys}
        usual["s3_endpoint"] = "http://127.0.0.1:1"
        return Settings(state_dir=tmp_path, **(usual | more))

    return make


def test_of_a_directory_it_says_nothing_more(tmp_path):
    assert list(_blobs(Settings(state_dir=tmp_path))) == []


def test_writes_reads_and_deletes(named, s3):
    prefix = secrets.token_hex(4)
    (found,) = _blobs(named(blobs=f"s3://{BUCKET}/{prefix}", s3_endpoint=s3.endpoint))
    assert found.verdict is Verdict.OK
    assert found.detail.startswith(f"s3://{BUCKET}/{prefix}/ at {s3.endpoint}")
    assert SECRET_KEY not in found.detail
    assert not [p for p in (s3.directory / BUCKET).rglob("*") if prefix in str(p) and p.is_file()]


def test_tells_what_is_wrong(named, s3):
    (away,) = _blobs(named())
    assert (away.verdict, "cannot be reached" in away.detail) == (Verdict.BAD, True)
    (absent,) = _blobs(named(blobs="s3://nobody", s3_endpoint=s3.endpoint))
    assert (absent.verdict, "does not exist" in absent.detail) == (Verdict.BAD, True)
    (wrong,) = _blobs(named(s3_keys_file=None))
    assert (wrong.verdict, wrong.detail.startswith("setting 's3_keys_file'")) == (
        Verdict.BAD,
        True,
    )
