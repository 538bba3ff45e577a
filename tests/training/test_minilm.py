"""An encoder's published weights become a bundle: the same vectors, served at any length."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from benchmarks import encoders  # noqa: E402  after the skip
from plaza_models.tasks import EmbedTask  # noqa: E402
from plaza_training.card import read_front_matter  # noqa: E402
from plaza_training.pipeline import produce  # noqa: E402
from plaza_training.served import serve  # noqa: E402
from plaza_training.text import minilm, sts  # noqa: E402
from plaza_training.text.encoder import Encoder, read_weights  # noqa: E402
from plaza_training.text.vocabulary import open_reader  # noqa: E402

pytestmark = pytest.mark.torch

TOKENIZER = json.dumps(encoders.tokenizer(letters=1)).encode()
LAYERS, WIDTH, HEADS, PLACES = 2, 16, 4, 256
TEXTS = ("a lamp is out", "7", "the tram leaves the harbour at noon", "lamp")


@pytest.fixture(scope="module")
def weights():
    """By the names of the `transformers` library, at random."""
    random = torch.Generator().manual_seed(3)

    def drawn(*shape):
        return torch.randn(*shape, generator=random) / shape[-1] ** 0.5

    found = {
        "embeddings.word_embeddings.weight": drawn(len(encoders.vocabulary(1)), WIDTH),
        "embeddings.position_embeddings.weight": drawn(PLACES, WIDTH),
        "embeddings.token_type_embeddings.weight": drawn(2, WIDTH),
    }
    shapes = {
        "attention.self.query": (WIDTH, WIDTH),
        "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH),
        "attention.output.dense": (WIDTH, WIDTH),
        "intermediate.dense": (3 * WIDTH, WIDTH),
        "output.dense": (WIDTH, 3 * WIDTH),
    }
    norms = ["embeddings."]
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        norms += [f"{at}attention.output.", f"{at}output."]
        for name, shape in shapes.items():
            found[f"{at}{name}.weight"] = drawn(*shape)
            found[f"{at}{name}.bias"] = drawn(shape[0])
    for name in norms:
        found[f"{name}LayerNorm.weight"] = 1 + drawn(WIDTH)
        found[f"{name}LayerNorm.bias"] = drawn(WIDTH)
    return found


@pytest.fixture(scope="module")
def encoder(weights):
    return Encoder(weights, HEADS)


@pytest.fixture
def pairs(tmp_path):
    for year in sts.YEARS:
        (tmp_path / f"sts{year}-a.test.tsv").write_text("4\ta lamp\tlamp\n1\ttram\t7\n2\tat\tout\n")
    return tmp_path


def test_the_bundle_gives_the_encoders_own_vectors_at_every_length(
    encoder, pairs, job, tmp_path, runners
):
    made = produce(
        "small", lambda _: minilm.wrapped(encoder, TOKENIZER, pairs), job, tmp_path / "out", runners
    )
    card = read_front_matter((made.directory / "CARD.md").read_text(encoding="utf-8"))
    assert set(card["metrics"]) == {"sts13", "sts14", "sts15", "sts16", "sts_mean"}
    (baseline,) = card["baselines"].values()
    assert set(baseline) == set(card["metrics"])
    reader = open_reader(tmp_path, minilm.OPTIONS, TOKENIZER, marks=True)
    served = serve(made.directory, runners)
    try:
        joined = served.ask_all(EmbedTask((text,), normalise=False) for text in TEXTS)
        for text, answer in zip(TEXTS, joined, strict=True):
            given = minilm.tensors(reader.rows([text], "no")).values()
            wanted = encoder(*map(torch.from_numpy, given)).numpy()
            np.testing.assert_allclose(answer.vectors, wanted, atol=1e-5)
    finally:
        served.runner.close()


def test_what_the_mask_hides_changes_nothing_and_nothing_at_all_is_a_number(encoder):
    ids = torch.tensor([[4, 5, 6, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 0, 0]])
    np.testing.assert_allclose(
        encoder(ids, mask).numpy(), encoder(ids[:, :3], mask[:, :3]).numpy(), atol=1e-6
    )
    assert encoder(ids, torch.zeros_like(mask)).isfinite().all()


def test_weights_are_read_from_a_safetensors_file(tmp_path):
    header = {
        "__metadata__": {"format": "pt"},
        "numbers": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
        "rows": {"dtype": "F32", "shape": [2, 2], "data_offsets": [8, 24]},
    }
    head = json.dumps(header).encode()
    content = np.arange(1, 5, dtype=np.float32).tobytes()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(head).to_bytes(8, "little") + head + bytes(8) + content)
    found = read_weights(path)
    assert {name: one.tolist() for name, one in found.items()} == {"rows": [[1, 2], [3, 4]]}
