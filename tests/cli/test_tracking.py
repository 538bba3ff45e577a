"""`plaza models import`, `plaza proposals …`, and what the CLI says of an MLflow that is behind."""

from plaza_serving.cli.reports import behind
from tests.client.canned import NOW


def test_importing_says_what_became_of_it(plaza, state):
    done = plaza("models", "import", "models:/Road Cars/3", "--name", "cars", "--project", "main")
    assert done.code == 0
    assert state.last("POST").json == {
        "source": "models:/Road Cars/3",
        "name": "cars",
        "project": "main",
    }
    assert "cars" in done.out
    assert "not yet: MLflow cannot be reached" in done.out


def test_what_was_imported_as_json_has_its_lineage(answer):
    assert answer("models", "import", "runs:/run1/model")["lineage"]["run"] == "run1"


def test_a_run_goes_along_with_a_registration(plaza, state, elsewhere):
    (elsewhere / "plaza.yaml").write_text("name: x")
    done = plaza("models", "register", elsewhere, "--run", "0f1e", "--experiment", "roads")
    assert done.code == 0, done.err
    commit = state.last("POST").json
    assert (commit["run"], commit["experiment"]) == ("0f1e", "roads")


def test_proposals_are_listed_and_decided(plaza, state):
    listed = plaza("proposals", "list", "--state", "all")
    assert listed.code == 0
    assert state.last("GET").query["state"] == ["all"]
    assert "champion: 1 → 2" in listed.out
    accepted = plaza("proposals", "accept", "prp_1")
    assert (accepted.code, "accepted" in accepted.out) == (0, True)
    rejected = plaza("proposals", "reject", "prp_1")
    assert (rejected.code, "rejected" in rejected.out) == (0, True)
    assert state.last("POST").path == "/api/v1/proposals/prp_1/reject"


def test_accepting_as_json_says_where_it_answers(answer):
    assert answer("proposals", "accept", "prp_1")["promotion"]["published_on"] == ["r-1"]


def test_an_alias_is_taken_away(plaza, state):
    assert plaza("models", "remove-alias", "cars", "spare").code == 0
    assert state.last("DELETE").path == "/api/v1/models/cars/aliases/spare"


def test_what_waits_is_told_with_since_when_and_why():
    mlflow = {
        "waiting": 2,
        "since_unix_us": NOW,
        "problem": "MLflow cannot be reached",
        "stuck": {"mdl_1": "other content"},
    }
    assert behind(mlflow) == (
        "2 changes since 2026-11-21 12:07:19 UTC (MLflow cannot be reached; other content)"
    )
    assert behind({"waiting": 0}) == behind({}) == "nothing"
