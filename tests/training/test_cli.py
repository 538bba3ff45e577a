"""The command: recipes by name, runners by plug-in or by path, errors as one line."""

import pytest
from typer.testing import CliRunner

from plaza_core.errors import InvalidInput, NotFound, PlazaError
from plaza_training.cli import app, open_runners
from plaza_training.recipe import RECIPES, load_recipe


def test_an_unknown_recipe_is_answered_with_those_there_are(tmp_path):
    said = CliRunner().invoke(app, ["nothing", "--data", str(tmp_path)])
    assert said.exit_code == 1
    assert "banking-intents" in said.output
    assert "Traceback" not in said.output
    assert said.stderr.startswith("nothing: not_found"), "which one, and not among the results"


def test_runners_come_from_a_plug_in_or_from_a_path():
    assert open_runners("cpu") is open_runners("plaza_accel.providers.cpu:provider")
    with pytest.raises(PlazaError, match="installed: "):
        open_runners("abacus")
    with pytest.raises(InvalidInput, match="cannot load"):
        open_runners("plaza_accel.providers.cpu:nothing")


def test_every_listed_recipe_can_be_loaded():
    pytest.importorskip("torch", reason="needs the extra `train`")
    for name in RECIPES:
        assert callable(load_recipe(name))
    with pytest.raises(NotFound):
        load_recipe("nothing")
