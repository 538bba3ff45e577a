"""Rollouts with real ONNX sessions: what a replica sees of a bad version is enough to stop it."""

import asyncio

import numpy as np
import pytest

from benchmarks import graphs
from benchmarks.rollouts import SIZE, crashing, network
from plaza_accel.contract.provider import select
from plaza_core.inference import Call
from plaza_core.manifest import manifest_from
from plaza_core.rollout import WHOLE, RolloutKind, Split
from plaza_core.table import VersionEntry
from plaza_serving.control.evidence import Evidence
from plaza_serving.control.gate import judge
from tests.serving.control.simulated import a_rollout
from tests.serving.dataplane.world import make_key, make_model, make_table

NAME = "conv"
SHADOW, CANARY = RolloutKind.SHADOW, RolloutKind.CANARY


class Directories:
    def __init__(self, directory, versions):
        self.at = {
            f"{number:064x}": graph.write(directory / str(number))
            for number, graph in versions.items()
        }

    def fetch(self, entry):
        return self.at[entry.digest]

    def release(self, entry):
        pass


def model_of(versions, split):
    model = make_model(NAME, versions=tuple(versions))
    entries = [
        VersionEntry(
            version=v.version,
            digest=v.digest,
            files=[],
            manifest=manifest_from(versions[v.version].manifest),
        )
        for v in model.versions
    ]
    return model.model_copy(update={"versions": entries, "splits": {"champion": split}})


async def replica(kit, directory, candidate: graphs.Graph, kind, part):
    """A plane over real sessions: version 1 is the network, 2 the candidate."""
    versions = {1: network(), 2: candidate}
    weights = {"weights": {1: WHOLE - part, 2: part}}
    split = Split(
        stable=1, rollout="rol_0", **({"shadows": {2: part}} if kind is SHADOW else weights)
    )
    k = kit(factory=select("cpu"))
    k.host._bundles = Directories(directory, versions)
    entry, header = make_key()
    await k.serve(make_table([model_of(versions, split)], [entry]))
    return k, k.plane.authenticate(header)


async def rolled_out(kit, directory, candidate, kind, *, part, requests, at_once=2):
    """(verdict, answers) after at most so many requests in all; judged every 40 of them."""
    k, principal = await replica(kit, directory, candidate, kind, part)
    random, rollout, evidence = np.random.default_rng(0), a_rollout(kind, 0, 0.001), Evidence()
    answers, verdict = [], None

    async def client():
        image = random.random((1, 3, SIZE, SIZE), np.float32)
        call = Call(k.plane.new_request_id(), NAME, None, tensors={"image": image})
        answers.append(await k.plane.infer(principal, call))

    for done in range(0, requests, at_once):
        await asyncio.gather(*(client() for _ in range(at_once)))
        if done % 40 == 0:
            await asyncio.sleep(0.005)
            beat = k.plane.heartbeat()
            told = {beat.replica: (beat.sequence, beat.rollouts["rol_0"])}
            evidence, verdict = judge(rollout, evidence.take(told))
            if verdict.bad:
                break
    return verdict, answers, evidence.total


async def test_wrong_answers_are_found_by_the_shadow_and_given_to_nobody(kit, tmp_path):
    wrong = network(seed=1, mark="wrong")
    verdict, answers, seen = await rolled_out(
        kit, tmp_path, wrong, SHADOW, part=WHOLE, requests=500
    )
    assert verdict.because == "disagreements"
    assert seen.disagreements == seen.pairs < 100
    assert {answer.version for answer in answers} == {1}


async def test_a_crashing_version_is_found_by_its_canary_and_felt_by_nobody(kit, tmp_path):
    verdict, answers, _ = await rolled_out(
        kit, tmp_path, crashing(), CANARY, part=2000, requests=2000
    )
    assert verdict.because == "failures"
    assert {answer.version for answer in answers} == {1}
    assert verdict.tests[0].candidate[1] < 100


async def test_a_slow_version_is_found_by_its_canary(kit, tmp_path):
    slow = network(layers=24, mark="slow")
    verdict, answers, _ = await rolled_out(kit, tmp_path, slow, CANARY, part=3000, requests=1600)
    assert verdict.because == "latency"
    assert sum(answer.version == 2 for answer in answers) < 500


@pytest.mark.parametrize("kind", [CANARY, SHADOW])
async def test_the_same_network_in_another_file_is_good(kit, tmp_path, kind):
    part = WHOLE if kind is SHADOW else 3000
    verdict, _, seen = await rolled_out(
        kit, tmp_path, network(mark="same"), kind, part=part, requests=600
    )
    assert not verdict.bad
    assert seen.disagreements == 0
