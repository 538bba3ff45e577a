"""A run is written into a real MLflow store, and a candidate is held against a champion."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")
mlflow = pytest.importorskip("mlflow", reason="needs the extra `hub`")

from plaza_registry.mlflow_runs import MlflowRuns  # noqa: E402  after the skips
from plaza_training.recipe_file import read_recipe  # noqa: E402
from plaza_training.tracked import produce_tracked  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    # mlflow 3.17.2 on SQLAlchemy 2.1: its own models use what 2.1 deprecates.
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.timeout(240),
]
RECIPE = """
name: {name}
series: {{csv: waves.csv, step_seconds: 3600, season: 24, licence: MIT}}
window: {{context: 48, horizon: 6}}
model: {{method: {method}}}
"""
NETWORK = "network, steps: 60, hidden: 16, rows_per_step: 64, patience: 2"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/runs.db"


@pytest.fixture
def made(tmp_path, waves, job, runners):
    """Produce one recipe: `made(name, method, …)`."""
    rows = [",".join(f"{value:.3f}" for value in row) for row in waves]
    head = ",".join(f"s{k}" for k in range(waves.shape[1]))
    (tmp_path / "waves.csv").write_text("\n".join([head, *rows]))

    def produce(name, method, **more):
        path = tmp_path / f"{name}.yaml"
        path.write_text(RECIPE.format(name=name, method=method))
        return produce_tracked(*read_recipe(path), job, tmp_path / "out", runners, **more)

    return produce


def test_everything_about_a_run_is_in_mlflow(made, store):
    tracked = made("waves-network", NETWORK, runs=MlflowRuns(store))
    client = mlflow.MlflowClient(store)
    run = client.get_run(tracked.run)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "waves-network"
    assert run.data.params["seed"] == "7"
    assert run.data.params["hidden"] == "16"
    assert run.data.tags["plaza.torch"] == torch.__version__
    assert run.data.metrics["rmse"] == pytest.approx(tracked.produced.report.metrics["rmse"])
    assert "baseline/ridge regression/rmse" in run.data.metrics
    assert [point.step for point in client.get_metric_history(tracked.run, "loss")] == [60]
    assert client.get_metric_history(tracked.run, "validation loss")
    files = {file.path for file in client.list_artifacts(tracked.run, "bundle")}
    assert {"bundle/model.onnx", "bundle/CARD.md", "bundle/recipe.yaml"} <= files
    # Files lie beside the store, not in whatever directory this was started from.
    assert Path(store.removeprefix("sqlite:///")).parent.as_uri() in run.info.artifact_uri


def test_a_run_that_fails_says_so(job, tmp_path, runners, store):
    runs = MlflowRuns(store, "failing")

    def broken(job):
        job.log.value("loss", 1.5, 10)
        job.log.value("loss", float("nan"), 20)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        produce_tracked("broken", broken, job, tmp_path, runners, runs=runs)
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("failing").experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.metrics["loss"] == 1.5
    assert run.data.tags["loss.20"] == "nan"


def test_a_candidate_is_proposed_only_when_it_wins(made):
    naive = made("waves-naive", "naive").produced.directory
    ridge = made("waves-ridge", "ridge", champion=naive)
    assert ridge.verdict.proposed
    assert ridge.verdict.high < 0
    back = made("waves-naive", "naive", champion=ridge.produced.directory)
    assert not back.verdict.proposed
    assert back.verdict.low > 0
