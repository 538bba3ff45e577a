"""Which store the settings name, and which part of them is wrong."""

from __future__ import annotations

import pytest

from plaza_core.errors import BadRequest
from plaza_core.settings import Settings
from plaza_registry.blobs import LocalBlobs
from plaza_registry.blobs_s3 import S3Blobs
from plaza_registry.s3 import place_of
from plaza_registry.stores import open_blobs
from tests.registry.s3_server import ACCESS_KEY, SECRET_KEY

KEYS = f'access_key = "{ACCESS_KEY}"\nsecret_key = "{SECRET_KEY}"\n'


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "s3.toml"
    path.touch(mode=0o600)
    path.write_text(KEYS)
    return path


@pytest.fixture
def named(tmp_path, keys):
    """Settings of an S3 store; what is given replaces a part of them."""

    def make(**more):
        usual = {"blobs": "s3://models/hub/one", "s3_keys_file": keys}
        usual["s3_endpoint"] = "http://127.0.0.1:1"
        return Settings(state_dir=tmp_path, **(usual | more))

    return make


def test_by_default_it_is_a_directory(tmp_path):
    assert isinstance(open_blobs(Settings(state_dir=tmp_path)), LocalBlobs)
    assert (tmp_path / "blobs").is_dir()


def test_opening_a_bucket_connects_to_nothing(named):
    assert isinstance(open_blobs(named()), S3Blobs)


def test_where_the_bucket_is(named):
    place = place_of(named())
    assert (place.bucket, place.prefix, place.region) == ("models", "hub/one/", "us-east-1")
    assert place_of(named(blobs="s3://models/")).prefix == ""
    assert SECRET_KEY not in repr(place)


@pytest.mark.parametrize(
    ("more", "setting"),
    [
        ({"blobs": "s3:/models"}, "blobs"),
        ({"blobs": "/srv/blobs"}, "blobs"),
        ({"blobs": "s3://Models"}, "blobs"),
        ({"blobs": "s3://models/a b"}, "blobs"),
        ({"s3_endpoint": "store.example.org"}, "s3_endpoint"),
        ({"s3_keys_file": None}, "s3_keys_file"),
        ({"s3_keys_file": "/nowhere/keys"}, "s3_keys_file"),
    ],
)
def test_a_wrong_setting_is_named(named, more, setting):
    with pytest.raises(BadRequest) as caught:
        open_blobs(named(**more))
    assert caught.value.input == setting


@pytest.mark.parametrize(
    "text", ["", "access_key = 3", 'access_key = "a"', KEYS + "more = 1", "AKID:secret"]
)
def test_a_file_of_keys_that_is_none(named, keys, text):
    keys.write_text(text)
    with pytest.raises(BadRequest, match=r"access_key|TOML"):
        open_blobs(named())


def test_keys_that_others_can_read_are_refused(named, keys):
    keys.chmod(0o640)
    with pytest.raises(BadRequest, match="0600"):
        open_blobs(named())
