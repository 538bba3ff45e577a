"""A transformer by options alone: texts of all lengths at once, each answered as alone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import plaza
from benchmarks import encoders
from plaza_accel.providers.cpu import provider
from plaza_core.manifest import MANIFEST_FILE, parse_manifest
from plaza_models.tasks import EmbedTask
from plaza_models.text.embed import open_family
from tests.hub.waiting import until

pytestmark = pytest.mark.hub

TEXTS = [" ".join(["lamp", "is", "out", "at", "7"][: n % 5 + 1] * (n % 2 + 1)) for n in range(24)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return encoders.write(tmp_path_factory.mktemp("encoder") / "small", "small", encoders.SMALL)


@pytest.fixture(scope="module")
def vectors(bundle):
    """Of each text alone, without padding."""
    manifest = parse_manifest((bundle / MANIFEST_FILE).read_bytes())
    runner, family = provider.open(bundle, manifest), open_family(bundle, manifest)
    found = []
    for text in TEXTS:
        prepared = family.prepare(EmbedTask((text,), cut="end"))
        found.append(family.interpret(runner.run(prepared.tensors), prepared.context).vectors[0])
    runner.close()
    return np.stack(found)


def test_texts_of_all_lengths_are_answered_at_once_as_alone(hub, organisation, bundle, vectors):
    *_, client = organisation
    done = client.models.register(bundle, name="small")
    assert done.examination["passed"]
    until(lambda: client.embed(["warm"], model="small"))
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda text: client.embed([text], model="small"), TEXTS))
    got = np.concatenate([answer.vectors for answer in answers])
    np.testing.assert_allclose(got, vectors, atol=1e-5)
    together = client.embed(TEXTS, model="small").vectors
    np.testing.assert_allclose(together, vectors, atol=1e-5)


def test_a_text_beyond_the_model_and_one_of_nothing_are_refused_by_name(hub, organisation, bundle):
    *_, client = organisation
    client.models.register(bundle, name="small")
    until(lambda: client.embed(["warm"], model="small"))
    for text, says in (("a " * 60, "reads 30"), ("\x00 \u200b", "no letter")):
        with pytest.raises(plaza.PlazaError, match=says) as refused:
            client.embed(["good", text], model="small")
        assert (refused.value.status, refused.value.code) == (422, "invalid_input")
