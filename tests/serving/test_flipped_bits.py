"""A flipped bit anywhere between the store and the model is refused before the model opens."""

from __future__ import annotations

import secrets

import pytest

from plaza_registry.blobs import LocalBlobs
from plaza_registry.blobs_s3 import S3Blobs
from tests.serving.flipping import PLACES, flip_everywhere, overwrite_in_s3, overwrite_on_disk

FULL = 100


def on_disk(tmp_path, count):
    blobs = LocalBlobs(tmp_path / "blobs")
    return flip_everywhere(tmp_path, blobs, overwrite_on_disk(tmp_path / "blobs"), count)


def in_s3(tmp_path, s3, count):
    place = s3.place(f"{secrets.token_hex(4)}/")
    return flip_everywhere(tmp_path, S3Blobs(place), overwrite_in_s3(place), count)


def test_on_disk(tmp_path):
    assert on_disk(tmp_path, 12) == dict.fromkeys(PLACES, 12)


def test_in_s3(tmp_path, s3):
    assert in_s3(tmp_path, s3, 12) == dict.fromkeys(PLACES, 12)


@pytest.mark.prove
def test_a_hundred_on_disk(tmp_path, record_property):
    refused = on_disk(tmp_path, FULL)
    record_property("flipped, disk", dict(refused))
    assert refused == dict.fromkeys(PLACES, FULL)


@pytest.mark.prove
def test_a_hundred_in_s3(tmp_path, s3, record_property):
    refused = in_s3(tmp_path, s3, FULL)
    record_property("flipped, s3", dict(refused))
    assert refused == dict.fromkeys(PLACES, FULL)
