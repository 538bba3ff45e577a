"""A router from labelled messages: any language, honest numbers, a bundle that is served."""

import csv

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_core.manifest import parse_manifest  # noqa: E402  after the skip
from plaza_models.tasks import ClassifyTask  # noqa: E402  after the skip
from plaza_training.card import read_front_matter  # noqa: E402
from plaza_training.pipeline import produce  # noqa: E402
from plaza_training.served import serve  # noqa: E402
from plaza_training.text import router  # noqa: E402
from plaza_training.text.made import make_messages  # noqa: E402

pytestmark = pytest.mark.torch

CHINESE = {
    "道路": ("{}的路面有一个大坑", "{}的柏油路坏了", "{}路口的红绿灯不亮"),
    "垃圾": ("{}的垃圾桶满了没人收", "有人在{}乱倒建筑垃圾", "{}到处都是垃圾袋"),
    "噪音": ("{}的工地半夜还在施工", "{}每天晚上音乐很吵", "{}有人大声喧哗睡不着"),
}
PLACES = ("人民路", "学校门口", "三号楼", "公园", "火车站", "小区", "市场", "河边")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Fewer passes than for real messages, which are not as alike."""
    monkeypatch.setattr(router, "_ROWS_TO_SEE", 3_000)


@pytest.fixture
def messages(tmp_path):
    english = make_messages(np.random.default_rng(4), 140)
    rows = list(zip(english.texts, english.labels, strict=True))
    rows += [(t.format(p), label) for label, ts in CHINESE.items() for t in ts for p in PLACES]
    path = tmp_path / "city messages.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def test_a_router_learns_several_languages_from_one_file(messages, job, tmp_path, runners):
    made = produce("city", router.text_router(messages, "city"), job, tmp_path / "out", runners)
    card = read_front_matter((made.directory / "CARD.md").read_text(encoding="utf-8"))
    assert "cross-validation" in card["split"]
    assert card["metrics"]["accuracy_percent"] > 90
    frequent = card["baselines"]["always the most frequent label"]
    assert card["metrics"]["accuracy_percent"] > frequent["accuracy_percent"]
    assert "TF-IDF, nearest mean of a label" in card["baselines"]
    assert card["parameters"]["messages"] + card["parameters"]["repeated"] == 140 + 72
    assert card["parameters"]["contradicted"] == 0
    assert card["command"].endswith("--seed 7")
    assert "text --csv city messages.csv --name city" in card["command"]
    served = serve(made.directory, runners)
    try:
        asked = ("lamp near the old station is out", "火车站的路面坏了", "hello " * 1500)
        answer = served.ask(ClassifyTask(asked))
    finally:
        served.runner.close()
    best = [result[0].label for result in answer.results]
    assert best[:2] == ["street-light", "道路"]


def test_of_a_language_without_spaces_characters_may_be_read(messages, job, tmp_path, runners):
    recipe = router.text_router(messages, "city", unit="character")
    made = produce("city", recipe, job, tmp_path / "out", runners)
    card = read_front_matter((made.directory / "CARD.md").read_text(encoding="utf-8"))
    assert "--name city --unit character" in card["command"]
    assert card["metrics"]["accuracy_percent"] > 90
    manifest = parse_manifest((made.directory / "plaza.yaml").read_bytes())
    assert (manifest.options["unit"], manifest.options["characters"]) == ("character", None)
    served = serve(made.directory, runners)
    try:
        answer = served.ask(ClassifyTask(("火车站的路面坏了!", "公园到处都是垃圾袋")))
    finally:
        served.runner.close()
    assert [result[0].label for result in answer.results] == ["道路", "垃圾"]


def test_every_message_is_in_one_part_and_labels_are_spread_evenly():
    targets = np.repeat([0, 1, 2], [50, 20, 7])
    parts = router.folds(targets, 5, seed=1)
    assert sorted(np.concatenate(parts)) == list(range(len(targets)))
    for label, count in enumerate((50, 20, 7)):
        found = [int((targets[part] == label).sum()) for part in parts]
        assert max(found) - min(found) <= 1
        assert sum(found) == count


def test_of_a_long_file_a_fifth_is_asked():
    targets = np.tile([0, 1, 2], 20_000)
    (part,) = router.parts_of(targets, seed=1)
    assert len(part) == len(set(part)) == 12_000
    assert len(np.concatenate(router.parts_of(targets[:6_000], seed=1))) == 6_000


def test_labels_that_mean_nothing_are_not_said_to_be_learnt(job):
    """Cross-validation must not flatter: with labels by lot it finds no more than chance."""
    messages = make_messages(np.random.default_rng(4), 200)
    lot = np.random.default_rng(0).permutation(messages.labels)
    shuffled = router.Examples(messages.texts, tuple(str(label) for label in lot))
    report = router.train(shuffled, job).evaluate(None)
    assert report.metrics["accuracy_percent"] < 35


def test_many_labels_are_learnt_by_a_network_that_sees_a_long_file_less_often():
    assert router.chosen(100, router.FEW_LABELS)[1] == router.Linear()
    seen = {rows: router.chosen(rows, 101)[1] for rows in (100, 10_000, 100_000)}
    assert [choices.epochs for choices in seen.values()][1:] == [8, 4]
    assert seen[100_000].rows_per_step > seen[10_000].rows_per_step > seen[100].rows_per_step


def test_many_labels_are_learnt_too(job, monkeypatch):
    monkeypatch.setattr(router, "FEW_LABELS", 2)
    monkeypatch.setattr(router, "_ROWS_TO_SEE", 1_000)
    messages = make_messages(np.random.default_rng(4), 120)
    report = router.train(messages, job).evaluate(None)
    assert report.metrics["accuracy_percent"] > 90
