"""A pool opens what is certified for where it runs, and certifies anew after an upgrade."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plaza_core.certificate import Certificate, CertificateKey
from plaza_core.errors import NotCertified, Unavailable
from plaza_core.inference import Call
from plaza_core.pools import Pool
from plaza_core.testing_certificates import SOMEWHERE
from plaza_serving.dataplane.certified import CertificateGate
from plaza_serving.dataplane.repository import ELSEWHERE, FollowedRepository
from plaza_serving.dataplane.views import view_of
from plaza_serving.pools import Elsewhere, LivesElsewhere
from tests.serving.dataplane.world import make_key, make_model, make_table

UPGRADED = SOMEWHERE.model_copy(update={"runtime": "onnxruntime 2"})
OPENVINO = SOMEWHERE.model_copy(update={"provider": "openvino"})


def certificate(model, environment=SOMEWHERE, *, passed=True):
    (version,) = model.versions
    return Certificate(
        key=CertificateKey.of(version.digest, environment),
        passed=passed,
        reason="passed" if passed else "it crashed",
        placement={"CPUExecutionProvider": 3},
        made_unix_us=1,
    )


def certified(model, *certificates):
    (version,) = model.versions
    known = [one.standing() for one in certificates]
    return model.model_copy(
        update={"versions": [version.model_copy(update={"certificates": known})]}
    )


class Job:
    """Stands for the sandboxed child; `told` is what control heard."""

    def __init__(self, environment, *, passed=True, control=True):
        self.environment = environment
        self.passed = passed
        self.control = control
        self.runs, self.told = [], []

    def certify(self, directory, manifest, digest):
        self.runs.append(digest)
        return Certificate(
            key=CertificateKey.of(digest, self.environment),
            passed=self.passed,
            reason="passed" if self.passed else "its answers differ",
            made_unix_us=2,
        )

    def tell(self, made):
        if not self.control:
            raise Unavailable("control cannot be reached")
        self.told.append(made)

    def gate(self, pool="main", environment=None, others=()):
        here = environment or self.environment
        return CertificateGate(pool, here, self.certify, self.tell, others=others)


def with_gate(kit, job, pool="main"):
    k = kit()
    k.host._gate = job.gate(pool)
    return k


def demand(k, model):
    (version,) = model.versions
    return k.host.demand((model.id, version.version), version)


async def test_what_is_certified_here_opens_and_nothing_is_certified_again(kit):
    job = Job(SOMEWHERE)
    k = with_gate(kit, job, "further")
    model = certified(make_model(), certificate(make_model()))
    await demand(k, model)
    assert (job.runs, job.told) == ([], [])


@pytest.mark.parametrize("pool", ["main", "further"])
async def test_what_failed_here_is_refused_and_says_why(kit, pool):
    job = Job(SOMEWHERE)
    k = with_gate(kit, job, pool)
    model = certified(make_model(), certificate(make_model(), passed=False))
    with pytest.raises(NotCertified, match="it crashed"):
        await demand(k, model)
    assert job.runs == []
    assert not k.factory.opened


async def test_a_further_pool_refuses_what_nobody_certified_for_it(kit):
    k = with_gate(kit, Job(OPENVINO), "ov")
    model = certified(make_model(), certificate(make_model()))  # for cpu only
    with pytest.raises(NotCertified, match="--provider openvino"):
        await demand(k, model)
    assert k.host.failed() == {f"{model.id}/1": "not_certified"}


async def test_a_refusal_names_the_pools_that_serve_the_version(kit):
    pools = [
        Pool(name="ov", provider="openvino", grpc_port=8002),
        Pool(name="second", provider="openvino"),
        Pool(name="gpu", provider="cuda"),
    ]
    k = kit()
    k.host._gate = Job(SOMEWHERE).gate(others=pools)
    model = make_model()
    both = [certificate(model, passed=False), certificate(model, OPENVINO)]
    with pytest.raises(NotCertified) as caught:
        await demand(k, certified(model, *both))
    assert "it crashed" in caught.value.message
    where = "call it at /pools/ov (gRPC port 8002) or /pools/second"
    assert caught.value.message.endswith(where)
    assert isinstance(caught.value, LivesElsewhere)
    assert caught.value.where.pools == ("ov", "second")


async def test_a_plane_says_where_else_a_model_is_served(kit):
    k = kit()
    k.host._gate = Job(SOMEWHERE).gate(others=[Pool(name="ov", provider="openvino")])
    there, both, nowhere = make_model("there"), make_model("both"), make_model("nowhere")
    failed = certificate(there, passed=False)
    models = [
        certified(there, failed, certificate(there, OPENVINO)),
        certified(both, certificate(both), certificate(both, OPENVINO)),
        certified(nowhere, certificate(nowhere, passed=False)),
    ]
    entry, header = make_key()
    await k.serve(make_table(models, [entry]))
    who = k.plane.authenticate(header)
    found = {one.name: k.plane.elsewhere(who, one.name, None) for one in models}
    limit_s = there.versions[0].manifest.limits.deadline_ms / 1000
    assert found == {"there": Elsewhere(("ov",), limit_s), "both": None, "nowhere": None}
    assert k.plane.elsewhere(who, "unknown", None) is None
    shelf = FollowedRepository(lambda: k.plane.catalogue, k.host, None, k.clock)
    reasons = {one.name: one.reason for one in shelf.index(who)}
    assert reasons["there"] == f"{ELSEWHERE}ov"
    with pytest.raises(LivesElsewhere):
        await k.plane.infer(who, Call(k.plane.new_request_id(), "there", None, tensors={}))
    assert await k.outcomes() == [], "who sends it there charges nothing"


async def test_a_pool_opens_ahead_only_what_it_may(kit):
    k = with_gate(kit, Job(OPENVINO), "ov")
    plain = make_model("plain")
    fitting = make_model("fitting")
    fitting = certified(fitting, certificate(fitting, OPENVINO))
    await k.serve(make_table(models=[certified(plain, certificate(plain)), fitting]))
    assert set(k.host.ready()) == {fitting.id}
    assert k.host.failed() == {}, "a promotion is not told of a pool that never had the model"


@pytest.mark.parametrize("pool", ["main", "further"])
async def test_after_an_upgrade_a_version_is_certified_anew_before_it_opens(kit, pool):
    job = Job(UPGRADED)
    k = with_gate(kit, job, pool)
    model = certified(make_model(), certificate(make_model()))
    await k.serve(make_table(models=[model]))
    (made,) = job.told
    assert (made.model, made.version, made.certificate.key.environment) == (model.id, 1, UPGRADED)
    assert set(k.host.ready()) == {model.id}


async def test_what_fails_after_an_upgrade_stays_closed(kit):
    job = Job(UPGRADED, passed=False)
    k = with_gate(kit, job)
    model = certified(make_model(), certificate(make_model()))
    await k.serve(make_table(models=[model]))
    assert k.host.ready() == {}
    assert not k.factory.opened
    (made,) = job.told
    assert not made.certificate.passed


async def test_a_certificate_that_arrives_opens_the_version_at_once(kit):
    k = with_gate(kit, Job(OPENVINO), "ov")
    model = make_model()
    with pytest.raises(NotCertified):
        await demand(k, model)
    await k.serve(make_table(models=[certified(model, certificate(model, OPENVINO))]))
    assert set(k.host.ready()) == {model.id}


async def test_many_who_ask_at_once_make_one_certificate(kit):
    job = Job(UPGRADED)
    k = with_gate(kit, job)
    model = make_model()
    await asyncio.gather(*(demand(k, model) for _ in range(5)))
    assert len(job.runs) == 1


async def test_without_control_a_replica_believes_its_own_certificate(kit):
    job = Job(UPGRADED, control=False)
    k = with_gate(kit, job)
    model = certified(make_model(), certificate(make_model()))
    await demand(k, model)
    assert len(k.factory.opened) == 1


def test_a_certificate_from_another_place_opens_nothing():
    job = Job(SOMEWHERE)
    model = make_model()
    with pytest.raises(NotCertified, match="another environment"):
        job.gate(environment=UPGRADED).admit(model.id, model.versions[0], Path())
    assert job.told == []


def test_a_manifest_that_names_other_providers_is_heeded():
    model = make_model()
    (version,) = model.versions
    only = version.model_copy(
        update={"manifest": version.manifest.model_copy(update={"providers": ["openvino"]})}
    )
    assert Job(OPENVINO).gate().refusal(only) is None
    assert "does not name" in Job(SOMEWHERE).gate().refusal(only).message


async def test_the_view_shows_where_the_nodes_really_are(kit):
    k = with_gate(kit, Job(SOMEWHERE))
    model = certified(make_model(), certificate(make_model()))
    hosted = await demand(k, model)

    class Resolved:
        version = model.versions[0]

    Resolved.model = model
    view = view_of("m", Resolved, None, SOMEWHERE)
    assert (view.provider, view.ready) == ("cpu", False)
    assert view.placement == {"CPUExecutionProvider": 3}, "as its certificate says"
    assert view.certificate == SOMEWHERE.fingerprint
    hosted.runner.placement = {"CPUExecutionProvider": 2}
    assert view_of("m", Resolved, hosted, SOMEWHERE).placement == {"CPUExecutionProvider": 2}
    assert view_of("m", Resolved, None, UPGRADED).certificate == ""
