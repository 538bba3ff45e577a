"""What makes two certificates about the same, and which of them counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plaza_core.certificate import (
    Certificate,
    CertificateKey,
    Environment,
    Parity,
    newest,
    standing_in,
)
from plaza_core.ids import Digest
from plaza_core.pools import MAIN_POOL, Autoscaling, Pool
from plaza_core.settings import Settings
from plaza_core.testing_certificates import SOMEWHERE

DIGEST = Digest("a" * 64)
PARTS = list(Environment.model_fields)
words = st.text(max_size=20)
environments = st.builds(Environment, **dict.fromkeys(PARTS, words))


def certificate(environment=SOMEWHERE, **more):
    facts = {"passed": True, "reason": "passed", "made_unix_us": 1, **more}
    return Certificate(key=CertificateKey.of(DIGEST, environment), **facts)


@given(environments, environments)
def test_a_fingerprint_stands_for_the_whole_environment(one, other):
    assert (one.fingerprint == other.fingerprint) == (one == other)
    assert CertificateKey.of(DIGEST, one).environment == one


@pytest.mark.parametrize("part", PARTS)
def test_whatever_changes_of_a_place_what_held_there_holds_no_more(part):
    known = [certificate().standing()]
    assert standing_in(known, SOMEWHERE) == known[0]
    assert standing_in(known, SOMEWHERE.model_copy(update={part: "upgraded"})) is None


def test_of_each_key_the_first_counts():
    elsewhere = SOMEWHERE.model_copy(update={"device": "another"})
    new, old, other = certificate(made_unix_us=2), certificate(), certificate(elsewhere)
    assert newest([new, other, old]) == [new, other]


def test_it_survives_its_own_json():
    one = certificate(
        latency_us={1: 5, 4: 9},
        placement={"CPUExecutionProvider": 2},
        parity=Parity(max_abs=1e-7, max_rel=1e-6, tolerance=1e-3),
    )
    assert Certificate.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_difference_is_a_number(value):
    with pytest.raises(ValidationError):
        Parity(max_abs=value, max_rel=0, tolerance=1)


def test_pools_come_from_the_settings(monkeypatch):
    monkeypatch.setenv(
        "PLAZA_POOLS",
        '[{"name": "ov", "provider": "openvino", "environment": "/opt/ov/bin/python",'
        ' "options": {"num_streams": 1}, "resources": {"NPU": 0.5},'
        ' "autoscaling": {"max_replicas": 3}}]',
    )
    main, ov = Settings(replicas=2).all_pools
    assert (main.name, main.route_prefix, main.door_prefix) == (MAIN_POOL, "/", "")
    assert (main.provider, main.replicas) == ("cpu", 2)
    assert (ov.route_prefix, ov.door_prefix) == ("/pools/ov", "/pools/ov")
    assert ov.autoscaling == Autoscaling(max_replicas=3)


def test_an_interpreter_is_named_from_anywhere_and_its_link_is_kept(tmp_path, monkeypatch):
    (tmp_path / "python").symlink_to("/usr/bin/env")
    monkeypatch.chdir(tmp_path)
    assert Pool(name="ov", environment="python").environment == tmp_path / "python"


@pytest.mark.parametrize(
    "further",
    [
        [{"name": "main"}],
        [{"name": "ov"}, {"name": "ov"}],
        [{"name": "Ov"}],
        [{"name": "ov", "replicas": 0}],
        [{"name": "ov", "resources": {"NPU": 0}}],
        [{"name": "ov", "gpus": 1}],
        [{"name": "ov", "autoscaling": {"min_replicas": 3, "max_replicas": 2}}],
    ],
)
def test_a_pool_that_means_nothing_is_refused_at_start(further):
    with pytest.raises(ValidationError):
        Settings(pools=further)


def test_a_pool_has_no_field_that_is_not_described():
    assert set(Pool.model_fields) == {
        *("name", "provider", "options", "environment"),
        *("resources", "cpus", "replicas", "autoscaling", "grpc_port"),
    }
