"""Models with attention, by options: what goes in, how states become a row, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import encoders
from plaza_core.errors import InvalidBundle, InvalidInput
from plaza_core.manifest import manifest_from
from plaza_models.tasks import ClassifyTask, EmbedTask
from plaza_models.text import classify, embed
from tests.models.text.texts import anything

pytest.importorskip("tokenizers", reason="needs the library of tokenisers")

PIECES = encoders.vocabulary(letters=1)
FIRST, LAST = PIECES.index("[CLS]"), PIECES.index("[SEP]")
WIDTH, VALUES = 16, 3


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("bundle")
    (place / "tokenizer.json").write_text(json.dumps(encoders.tokenizer(letters=1)))
    (place / "labels.txt").write_text("one\ntwo\nthree\n")
    return place


def tensor(name, datatype, *shape):
    return {"name": name, "datatype": datatype, "shape": ["batch", *shape]}


IDS, MASK, TYPES = (
    tensor(name, "INT64", "tokens") for name in (encoders.IDS, encoders.MASK, encoders.TYPES)
)
STATES = tensor("last_hidden_state", "FP32", "tokens", VALUES)
ROW = tensor("row", "FP32", VALUES)


def manifest(family="text.embed", inputs=(IDS, MASK, TYPES), outputs=(STATES,), **options):
    given_ = {"tokenizer": "tokenizer.json", "pooling": "mean", "width": WIDTH, **options}
    return manifest_from(
        {
            "name": "m",
            "family": family,
            "options": given_,
            "signature": {"inputs": list(inputs), "outputs": list(outputs)},
            "buckets": {"tokens": [8, WIDTH]} if "tokens" in str(inputs) else {},
        }
    )


@pytest.fixture(scope="module")
def embedder(directory):
    return embed.open_family(directory, manifest(max_characters=300))


def states(tensors):
    """A graph whose states are the number of the piece, its place, and 1."""
    ids = tensors[encoders.IDS].astype(np.float32)
    place = np.broadcast_to(np.arange(ids.shape[1], dtype=np.float32), ids.shape)
    return np.stack([ids, place, np.ones_like(ids)], axis=-1)


def test_a_text_stands_between_its_marks_and_the_mask_hides_the_rest(embedder):
    prepared = embedder.prepare(EmbedTask(("Ab c", "7")))
    a, b, c, seven = (PIECES.index(piece) for piece in ("a", "##b", "c", "7"))
    assert prepared.tensors[encoders.IDS].tolist() == [
        [FIRST, a, b, c, LAST],
        [FIRST, seven, LAST, 0, 0],
    ]
    assert prepared.tensors[encoders.MASK].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert not prepared.tensors[encoders.TYPES].any()
    answer = embedder.interpret({"last_hidden_state": states(prepared.tensors)}, prepared.context)
    assert answer.tokens == 8


@pytest.mark.parametrize(
    ("pooling", "places"), [("mean", [2, 1]), ("cls", [0, 0]), ("last", [4, 2])]
)
def test_states_become_one_row_without_what_is_padding(directory, pooling, places):
    family = embed.open_family(directory, manifest(pooling=pooling))
    task = EmbedTask(("a b c", "7"), normalise=False)
    prepared = family.prepare(task)
    answer = family.interpret({"last_hidden_state": states(prepared.tensors)}, prepared.context)
    np.testing.assert_allclose(answer.vectors[:, 1], places)
    np.testing.assert_allclose(answer.vectors[:, 2], 1)


def test_a_model_that_pools_itself_and_counts_in_32_bits(directory):
    inputs = [{**one, "datatype": "INT32"} for one in (MASK, IDS)]
    family = embed.open_family(directory, manifest(inputs=inputs, outputs=[ROW], pooling="none"))
    prepared = family.prepare(EmbedTask(("a b",)))
    assert {name: array.dtype for name, array in prepared.tensors.items()} == {
        encoders.IDS: np.int32,
        encoders.MASK: np.int32,
    }
    answer = family.interpret({"row": np.float32([[3, 0, 4]])}, prepared.context)
    np.testing.assert_allclose(answer.vectors, [[0.6, 0, 0.8]], rtol=1e-6)


def test_vectors_that_are_not_to_be_normalised_never_are(directory):
    family = embed.open_family(directory, manifest(outputs=[ROW], pooling="none", normalise=False))
    prepared = family.prepare(EmbedTask(("a",)))
    answer = family.interpret({"row": np.float32([[3, 0, 4]])}, prepared.context)
    assert answer.vectors.tolist() == [[3, 0, 4]]


def test_a_fixed_width_is_filled(directory):
    inputs = [tensor(one["name"], "INT64", WIDTH) for one in (IDS, MASK)]
    outputs = [tensor("last_hidden_state", "FP32", WIDTH, VALUES)]
    family = embed.open_family(directory, manifest(inputs=inputs, outputs=outputs))
    prepared = family.prepare(EmbedTask(("a b",), normalise=False))
    assert prepared.tensors[encoders.IDS].shape == (1, WIDTH)
    answer = family.interpret({"last_hidden_state": states(prepared.tensors)}, prepared.context)
    assert answer.vectors[0, 1] == 1.5


def test_a_classifier_with_attention_gives_labels(directory):
    family = classify.open_family(
        directory, manifest("text.classify", outputs=[ROW], pooling="none")
    )
    prepared = family.prepare(ClassifyTask(("a b",), top_k=1))
    answer = family.interpret({"row": np.float32([[0, 5, 1]])}, prepared.context)
    assert answer.results[0][0].label == "two"


@given(st.integers(1, 40))
def test_a_long_text_is_refused_or_cut_inside_its_marks(embedder, words):
    text = " ".join(["a"] * (words - 1) + ["7"])
    if words <= WIDTH - 2:
        assert embedder.prepare(EmbedTask((text,))).context.counts == (words + 2,)
        return
    with pytest.raises(InvalidInput, match=f"has {words} pieces and the model reads 14") as refusal:
        embedder.prepare(EmbedTask(("a", text)))
    assert refusal.value.input == "texts[1]"
    for cut, last in (("end", "a"), ("beginning", "7")):
        (ids,) = embedder.prepare(EmbedTask((text,), cut=cut)).tensors[encoders.IDS]
        assert len(ids) == WIDTH
        assert (ids[0], ids[-2], ids[-1]) == (FIRST, PIECES.index(last), LAST)


@given(st.lists(anything, min_size=1, max_size=4))
def test_any_text_is_read_or_refused_by_name(embedder, texts):
    task = EmbedTask(tuple(texts), cut="end")
    try:
        prepared = embedder.prepare(task)
    except InvalidInput as refusal:
        (place,) = (n for n in range(len(texts)) if refusal.input == f"texts[{n}]")
        with pytest.raises(InvalidInput):
            embedder.prepare(replace(task, texts=(texts[place],)))
        return
    ids, mask = prepared.tensors[encoders.IDS], prepared.tensors[encoders.MASK]
    assert ids.shape == mask.shape == (len(texts), max(prepared.context.counts))
    assert mask.sum(axis=1).tolist() == list(prepared.context.counts)
    assert ids.max() < len(PIECES)
    answer = embedder.interpret({"last_hidden_state": states(prepared.tensors)}, prepared.context)
    assert np.isfinite(answer.vectors).all()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"inputs": [IDS]}, "signature.inputs"),
        ({"inputs": [IDS, MASK, tensor("position_ids", "INT64", "tokens")]}, "signature.inputs"),
        ({"ids": "tokens_in"}, "signature.inputs"),
        ({"mask": encoders.IDS}, "signature.inputs"),
        ({"inputs": [IDS, tensor(encoders.MASK, "FP32", "tokens")]}, encoders.MASK),
        ({"inputs": [IDS, tensor(encoders.MASK, "INT64", 5)]}, encoders.MASK),
        ({"outputs": [ROW]}, "row"),
        ({"pooling": "none"}, "last_hidden_state"),
        ({"outputs": [STATES, ROW]}, "signature.outputs"),
        ({"outputs": [tensor("s", "FP32", "tokens", "many")]}, "s"),
        ({"pooling": "max"}, "options.pooling"),
        ({"width": 64}, "buckets"),
        ({"width": 2}, "options.width"),
    ],
)
def test_what_does_not_fit_is_named(directory, changed, field):
    with pytest.raises(InvalidBundle) as refusal:
        embed.open_family(directory, manifest(**changed))
    assert refusal.value.input == field
