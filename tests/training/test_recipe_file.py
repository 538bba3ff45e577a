"""Somebody's own series become a bundle by one YAML file; mistakes are told by their field."""

import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_core.errors import InvalidInput, NotFound  # noqa: E402  after the skip
from plaza_models.tasks import ForecastTask  # noqa: E402
from plaza_training.card import read_front_matter  # noqa: E402
from plaza_training.pipeline import produce  # noqa: E402
from plaza_training.progress import Silent  # noqa: E402
from plaza_training.recipe import Job, named_recipe  # noqa: E402
from plaza_training.recipe_file import read_series  # noqa: E402
from plaza_training.served import serve  # noqa: E402

pytestmark = pytest.mark.torch

GOOD = {
    "name": "our-pumps",
    "series": {"csv": "pumps.csv", "step_seconds": 3600, "season": 24, "unit": "bar"},
    "window": {"context": 48, "horizon": 6},
    "model": {"method": "ridge"},
}


@pytest.fixture
def folder(tmp_path, waves):
    lines = [",".join(["time", *(f"pump {i}" for i in range(waves.shape[1]))])]
    lines += [f"2026-01-01 #{i}," + ",".join(map(str, row)) for i, row in enumerate(waves.tolist())]
    (tmp_path / "pumps.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def written(folder, **changes):
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return str(path)


@pytest.mark.parametrize(
    "model",
    [
        {"method": "ridge"},
        {"method": "network", "steps": 200, "hidden": 16, "rows_per_step": 64, "dropout": 0.0,
         "learning_rate": 5e-3},
    ],
    ids=lambda m: m["method"],
)  # fmt: skip
def test_a_file_becomes_a_bundle_with_its_recipe_and_card(folder, runners, model):
    name, recipe = named_recipe(written(folder, model=model))
    made = produce(name, recipe, Job(folder, 3, Silent()), folder / "out", runners)
    assert made.directory.name == "our-pumps"
    card = read_front_matter((made.directory / "CARD.md").read_text())
    assert card["licence"] == "all rights reserved"
    assert len(card["parameters"]["data_sha256"]) == 64
    assert card["command"].startswith("python -m plaza_training our-pumps.yaml")
    simple = next(value for name, value in card["baselines"].items() if name != "last value")
    assert card["metrics"]["mae"] < simple["mae"]
    assert yaml.safe_load((made.directory / "recipe.yaml").read_text())["model"] == model
    served = serve(made.directory, runners)
    answer = served.ask(ForecastTask(tuple(float(i % 24) for i in range(48)), 6))
    assert len(answer.values[0]) == 6
    served.runner.close()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "Our Pumps"}, "name"),
        ({"window": {"context": 48}}, "window.horizon"),
        ({"model": {"method": "oracle"}}, "model"),
        ({"model": {"method": "ridge", "steps": 4}}, "model.ridge.steps"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_mistake_in_the_file_is_told_by_its_field(folder, changes, field):
    with pytest.raises(InvalidInput) as caught:
        named_recipe(written(folder, **changes))
    assert caught.value.input.startswith(field)


def test_a_file_that_is_not_there_or_no_yaml_is_said_to_be_so(tmp_path):
    with pytest.raises(NotFound):
        named_recipe(str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(InvalidInput, match="no YAML"):
        named_recipe(str(tmp_path / "bad.yaml"))


def test_cells_without_a_number_are_named_by_line(tmp_path):
    (tmp_path / "gap.csv").write_text("t,a\nx,1\nx,\n")
    with pytest.raises(InvalidInput, match=r"line 3 of 'gap\.csv'"):
        read_series(tmp_path / "gap.csv")
    (tmp_path / "plain.csv").write_text("a,b\n1,2\n3,4\n")
    assert read_series(tmp_path / "plain.csv").tolist() == [[1, 2], [3, 4]]


def test_too_few_rows_are_told_before_anything_is_trained(folder):
    _, recipe = named_recipe(written(folder, window={"context": 200, "horizon": 100}))
    with pytest.raises(InvalidInput, match="too few"):
        recipe(Job(folder, 3, Silent()))
