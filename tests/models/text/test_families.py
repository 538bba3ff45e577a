"""Classification and embedding: rows in, rows out, one answer per text in the order asked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaza_core.errors import InvalidBundle, InvalidInput, ModelFailed
from plaza_core.manifest import manifest_from
from plaza_models.tasks import ClassifyTask, EmbedTask
from plaza_models.text import classify, embed

BUCKETS, WIDTH = 512, 128
LABELS = ("late", "lost", "new")


def manifest(family, outputs=3, *, width=WIDTH, **options):
    def tensor(name, datatype, columns):
        return {"name": name, "datatype": datatype, "shape": ["batch", columns]}

    return manifest_from(
        {
            "name": "m",
            "family": family,
            "options": {"buckets": BUCKETS, "width": WIDTH, **options},
            "signature": {
                "inputs": [tensor("indices", "INT64", width), tensor("weights", "FP32", width)],
                "outputs": [tensor("rows", "FP32", outputs)],
            },
        }
    )


TABLE = np.random.default_rng(3).normal(size=(BUCKETS, 3)).astype(np.float32)


def model(tensors):
    """The graph these families are made for, in numpy."""
    return {"rows": np.einsum("bk,bkd->bd", tensors["weights"], TABLE[tensors["indices"]])}


@pytest.fixture
def classifier(tmp_path):
    (tmp_path / "labels.txt").write_text("\n".join(LABELS) + "\n")
    return classify.open_family(tmp_path, manifest("text.classify"))


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return embed.open_family(tmp_path_factory.mktemp("bundle"), manifest("text.embed"))


def ask(family, task):
    prepared = family.prepare(task)
    assert prepared.rows == len(task.texts)
    return family.interpret(model(prepared.tensors), prepared.context)


def test_labels_come_best_first_with_probabilities(classifier):
    (result,) = ask(classifier, ClassifyTask(("where is my card",), top_k=3)).results
    scores = [label.score for label in result]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1)
    assert {label.label for label in result} == set(LABELS)


def test_top_k_is_capped_by_the_labels_there_are(classifier):
    task = ClassifyTask(("one", "two"), top_k=50)
    assert [len(result) for result in ask(classifier, task).results] == [3, 3]
    assert len(ask(classifier, ClassifyTask(("one",), top_k=1)).results[0]) == 1


def test_huge_logits_stay_probabilities(classifier):
    context = classifier.prepare(ClassifyTask(("x",), top_k=3)).context
    got = classifier.interpret({"rows": np.float32([[3e38, -3e38, 0]])}, context)
    assert (got.results[0][0].label, got.results[0][0].score) == ("late", 1.0)
    with pytest.raises(ModelFailed):
        classifier.interpret({"rows": np.float32([[0, np.inf, 0]])}, context)


sentence = st.text("abc 地", min_size=1, max_size=20).map("w".__add__)
sentences = st.lists(sentence, min_size=1, max_size=6)


@given(sentences)
def test_a_batch_answers_what_its_texts_would_get_alone(embedder, texts):
    together = ask(embedder, EmbedTask(tuple(texts)))
    assert together.vectors.shape == (len(texts), 3)
    assert together.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together.vectors, axis=1), 1, rtol=1e-6)
    alone = [ask(embedder, EmbedTask((text,))) for text in texts]
    np.testing.assert_allclose(
        together.vectors, np.concatenate([a.vectors for a in alone]), atol=1e-6
    )
    assert together.tokens == sum(a.tokens for a in alone)


@given(sentences, st.randoms(use_true_random=False))
def test_the_order_of_texts_is_the_order_of_answers(embedder, texts, random):
    order = list(range(len(texts)))
    random.shuffle(order)
    straight = ask(embedder, EmbedTask(tuple(texts))).vectors
    shuffled = ask(embedder, EmbedTask(tuple(texts[i] for i in order))).vectors
    np.testing.assert_allclose(shuffled, straight[order], atol=1e-6)


def test_joined_tensors_of_two_requests_are_the_tensors_of_one(embedder):
    """Fixed widths are what lets the batcher concatenate along `batch`."""
    one, two = (embedder.prepare(EmbedTask(t)).tensors for t in (("first",), ("second", "third")))
    both = embedder.prepare(EmbedTask(("first", "second", "third"))).tensors
    for name, array in both.items():
        assert (np.concatenate([one[name], two[name]]) == array).all()


def test_a_text_without_a_direction_is_named(embedder):
    context = embedder.prepare(EmbedTask(("one", "two"))).context
    with pytest.raises(ModelFailed) as failure:
        embedder.interpret({"rows": np.float32([[1, 0, 0], [0, 0, 0]])}, context)
    assert failure.value.input == "texts[1]"


def test_refusals_name_the_field(classifier):
    with pytest.raises(InvalidInput) as refusal:
        classifier.prepare(ClassifyTask(("a",), top_k=0))
    assert refusal.value.input == "top_k"
    with pytest.raises(InvalidInput) as refusal:
        classifier.prepare(ClassifyTask(("a", "b", "c", "")))
    assert refusal.value.input == "texts[3]"


@pytest.mark.parametrize(
    "content", [b"late\nlost\n", b"late\nlate\nnew\n", b"late\n\nnew\n", b"\xff", None]
)
def test_a_bundle_whose_labels_do_not_fit_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(InvalidBundle) as refusal:
        classify.open_family(tmp_path, manifest("text.classify"))
    assert refusal.value.input == "options.labels"


def test_labels_are_a_file_of_the_bundle_and_nothing_else(tmp_path):
    for name in ("../labels.txt", "/etc/passwd", "a/b.txt", ".hidden"):
        with pytest.raises(InvalidBundle) as refusal:
            classify.open_family(tmp_path, manifest("text.classify", labels=name))
        assert refusal.value.input == "options.labels"


def test_a_graph_of_another_shape_is_refused(tmp_path):
    with pytest.raises(InvalidBundle) as refusal:
        embed.open_family(tmp_path, manifest("text.embed", width=WIDTH + 1))
    assert refusal.value.input == "signature.inputs"
    with pytest.raises(InvalidBundle) as refusal:
        embed.open_family(tmp_path, manifest("text.embed", "many"))
    assert refusal.value.input == "rows"


def test_raw_scores_are_the_models_own(classifier):
    task = ClassifyTask(("where is my card",), raw=True)
    logits = model(classifier.prepare(task).tensors)["rows"][0]
    (result,) = ask(classifier, task).results
    assert [one.score for one in result] == pytest.approx(sorted(logits, reverse=True), abs=1e-6)


def test_vectors_may_be_had_as_the_model_gives_them(embedder):
    task = EmbedTask(("where is my card", "new"), normalise=False)
    rows = model(embedder.prepare(task).tensors)["rows"]
    np.testing.assert_allclose(ask(embedder, task).vectors, rows, rtol=1e-6)


def test_a_text_too_long_may_be_cut(classifier, embedder):
    long = " ".join(f"word{n}" for n in range(400))
    for family, task in ((classifier, ClassifyTask), (embedder, EmbedTask)):
        with pytest.raises(InvalidInput):
            family.prepare(task((long,)))
        assert family.prepare(task((long,), cut="end")).rows == 1
