"""Somebody's own series become a bundle by one YAML file; mistakes are told by their field."""

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_core.errors import InvalidInput, NotFound  # noqa: E402  after the skip
from plaza_models.tasks import ForecastTask, WarningTask  # noqa: E402
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
        ({"warnings": {"levels": {"high": 60}}}, "warnings.piece"),
        ({"warnings": {"levels": {}, "piece": 24}}, "warnings.levels"),
        ({"warnings": {"levels": {"high": "hot"}, "piece": 24}}, "warnings.levels.high"),
        ({"warnings": {"levels": {"high": 60, "very high": 50}, "piece": 24}}, "warnings"),
        ({"warnings": {"levels": {"high": 60}, "piece": 24, "false_alarms": 0}}, "warnings.false"),
        ({"warnings": {"levels": {"high": 60}, "piece": 24, "enter": 0.5}}, "warnings.enter"),
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


HIGH = {"levels": {"high": 60, "very high": 65}, "piece": 24, "false_alarms": 0.2}


@pytest.mark.parametrize("method", ["ridge", "network"])
def test_a_file_that_declares_warnings_makes_a_bundle_that_warns(folder, runners, method):
    model = {"method": method}
    if method == "network":
        model |= {"steps": 200, "hidden": 16, "rows_per_step": 64, "learning_rate": 5e-3}
    name, recipe = named_recipe(written(folder, model=model, warnings=HIGH))
    made = produce(name, recipe, Job(folder, 3, Silent()), folder / "out", runners)
    levels = yaml.safe_load((made.directory / "plaza.yaml").read_text())["options"]["levels"]
    assert [(one["name"], one["threshold"]) for one in levels] == [("high", 60), ("very high", 65)]
    for level in levels:
        low, high = level["false_alarms_range"]
        assert low <= level["false_alarms"] <= high <= 0.2
    text = (made.directory / "CARD.md").read_text()
    numbers = read_front_matter(text)["metrics"]
    assert numbers["high_false_alarms_percent"] <= numbers["high_false_alarms_stated_to_percent"]
    assert numbers["high_recall_percent"] > 50
    assert "4 pieces of 24 rows before the test" in text
    served = serve(made.directory, runners)
    rising = tuple(50 + 15 * float(np.sin(2 * np.pi * at / 24)) for at in range(3, 51))
    (warned,) = served.ask(WarningTask((rising,), "2026-07-01T00:00:00Z")).series
    assert warned.level is not None
    assert warned.levels[0].false_alarms_range == tuple(levels[0]["false_alarms_range"])
    served.runner.close()


def test_values_below_a_threshold_are_declared_by_a_word(folder):
    low = {"levels": {"low": 40, "very low": 36}, "above": False, "piece": 24, "false_alarms": 0.3}
    _, recipe = named_recipe(written(folder, warnings=low))
    levels = recipe(Job(folder, 3, Silent())).options["levels"]
    assert [level["above"] for level in levels] == [False, False]


def test_rows_that_set_levels_do_not_teach(folder):
    """Other values from the history on, and the model is the same."""
    path = folder / "pumps.csv"
    lines = path.read_text().splitlines()
    weights = []
    for factor in (1.0, 1.1):
        other = [
            ",".join([(cells := line.split(","))[0], *(str(factor * float(c)) for c in cells[1:])])
            for line in lines[270:]
        ]
        path.write_text("\n".join(lines[:270] + other) + "\n")
        _, recipe = named_recipe(written(folder, warnings=HIGH))
        weights.append(recipe(Job(folder, 3, Silent())).graph.module.state_dict())
    for name, one in weights[0].items():
        torch.testing.assert_close(one, weights[1][name])


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"piece": 100}, "warnings.piece", "two pieces of 100"),
        ({"levels": {"never": 900}}, "levels", "level 'never'"),
    ],
)
def test_levels_that_nothing_is_known_of_are_refused(folder, changes, field, said):
    _, recipe = named_recipe(written(folder, warnings={**HIGH, **changes}))
    with pytest.raises(InvalidInput, match=said) as caught:
        recipe(Job(folder, 3, Silent()))
    assert caught.value.input == field
