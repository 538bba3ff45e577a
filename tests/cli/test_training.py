"""`plaza data` and `plaza train` are the training room's own commands, found by entry point."""

import json

from typer.testing import CliRunner

from plaza_serving.cli import training
from plaza_serving.cli.main import app


def test_sets_are_listed_for_people_and_for_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAZA_DATA", str(tmp_path))
    said = CliRunner().invoke(app, ["data", "list"])
    assert said.exit_code == 0
    assert "fc-ett" in said.output
    machine = CliRunner().invoke(app, ["--json", "data", "list"])
    entries = {entry["name"]: entry for entry in json.loads(machine.output)}
    assert entries["fc-ett"]["here"] is False
    assert entries["fc-ett"]["may_ship"] is False


def test_a_refusal_of_the_training_room_is_an_exit_code():
    said = CliRunner().invoke(app, ["train", "no-such-recipe"])
    assert said.exit_code == 1
    assert "not_found" in said.output


def test_without_the_training_room_the_command_says_so(monkeypatch):
    monkeypatch.setattr(training, "COMMANDS", "plaza.commands.of.nobody")
    said = CliRunner().invoke(app, ["data", "list"])
    assert said.exit_code == 1
    assert "no 'data' in plaza.commands.of.nobody" in said.output
