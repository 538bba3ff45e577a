"""A forecaster is trained, exported, compared and described, from nothing but a series."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_core.manifest import parse_manifest  # noqa: E402  after the skip
from plaza_models.tasks import ForecastTask  # noqa: E402
from plaza_training.card import read_front_matter  # noqa: E402
from plaza_training.data import DataSet  # noqa: E402
from plaza_training.forecast.measure import repeat, score, score_points  # noqa: E402
from plaza_training.forecast.network import QuantileNetwork, pinball  # noqa: E402
from plaza_training.forecast.recipes import SPEED, Choices, train  # noqa: E402
from plaza_training.forecast.ridge import Ridge  # noqa: E402
from plaza_training.forecast.windows import Windows  # noqa: E402
from plaza_training.pipeline import produce  # noqa: E402
from plaza_training.served import serve  # noqa: E402

pytestmark = pytest.mark.torch

CHOICES = Choices(
    context=48,
    horizon=6,
    scaling="mean-abs",
    hidden=32,
    dropout=0.0,
    weight_decay=0.0,
    steps=400,
    rows_per_step=64,
    learning_rate=5e-3,
    train_until=360,
)


def made_up(waves):
    data = DataSet("waves", "Waves", "CC0-1.0", "https://example.org/t", "nobody", files=())
    return replace(SPEED, data=data, read=lambda folder: waves, season=24, season_name="yesterday")


@pytest.fixture
def produced(waves, job, tmp_path, runners):
    def recipe(given):
        return train(made_up(waves), CHOICES, given)

    return produce("waves", recipe, job, tmp_path / "bundles", runners)


def test_a_recipe_ends_in_a_bundle_that_beats_the_simple_methods(produced, runners):
    card = read_front_matter((produced.directory / "CARD.md").read_text())
    metrics, baselines = card["metrics"], card["baselines"]
    assert metrics["mae"] < baselines["last value"]["mae"]
    assert metrics["pinball"] < baselines["ridge regression"]["pinball"]
    assert 60 < metrics["coverage_80_percent"] < 95
    assert card["parity"]["max_abs_error"] < 1e-4
    assert card["parity"]["rows"] == 98
    assert card["seed"] == 7
    manifest = parse_manifest((produced.directory / "plaza.yaml").read_bytes())
    assert manifest.signature_spec().batched
    served = serve(produced.directory, runners)
    answer = served.ask(ForecastTask(tuple(50 + np.sin(np.arange(48) / 4)), 6))
    assert len(answer.values) == 7
    served.runner.close()


def test_the_same_seed_makes_the_same_bundle(produced, waves, job, tmp_path, runners):
    again = produce(
        "waves",
        lambda given: train(made_up(waves), CHOICES, given),
        job,
        tmp_path / "again",
        runners,
    )
    for file in sorted(path.name for path in produced.directory.iterdir()):
        one, two = ((made.directory / file).read_bytes() for made in (produced, again))
        assert one == two, file


def test_a_recipe_that_fails_leaves_the_last_bundle_alone(produced, job, runners):
    before = (produced.directory / "model.onnx").read_bytes()

    def broken(given):
        raise RuntimeError("no data today")

    with pytest.raises(RuntimeError):
        produce("waves", broken, job, produced.directory.parent, runners)
    assert (produced.directory / "model.onnx").read_bytes() == before
    assert [path.name for path in produced.directory.parent.iterdir()] == ["waves"]


def test_windows_of_two_ranges_share_no_future(waves):
    learning = Windows(waves, 48, 6, first=48, last=360)
    held_out = Windows(waves, 48, 6, first=360, last=480)
    assert learning.origins[-1] + 6 == 360 == held_out.origins[0]
    assert held_out.origins[-1] + 6 == 480
    past, future = held_out.take(np.array([360]), np.array([3]))
    assert (past[0] == waves[312:360, 3]).all()
    assert (future[0] == waves[360:366, 3]).all()
    with pytest.raises(ValueError, match="too short"):
        Windows(waves, 48, 6, first=40, last=360)


def test_an_untrained_network_repeats_the_last_value():
    network = QuantileNetwork(5, 2, 3, hidden=4, dropout=0.0).eval()
    given = torch.randn(4, 5)
    assert (network(given) == given[:, -1:, None].expand(4, 3, 2)).all()


def test_pinball_is_least_at_the_quantile():
    drawn = torch.from_numpy(np.random.default_rng(0).exponential(size=(2000, 1))).float()
    candidates = torch.linspace(0, 5, 101)
    losses = [
        float(pinball(c.expand(2000, 1, 1), drawn, torch.tensor([0.9])).mean()) for c in candidates
    ]
    best = float(candidates[int(np.argmin(losses))])
    assert best == pytest.approx(float(np.quantile(drawn.numpy(), 0.9)), abs=0.06)


def test_scores_of_a_known_case():
    forecasts = np.array([[[8.0, 8.0], [10.0, 10.0], [12.0, 12.0]]])
    found = score(forecasts, np.array([[10.0, 13.0]]), (0.1, 0.5, 0.9))
    assert found["mae"] == pytest.approx(1.5)
    assert found["rmse"] == pytest.approx(np.sqrt(4.5))
    assert found["coverage_80_percent"] == 50
    # By hand: (0.1*2 + 0 + 0.1*2 + 0.1*5 + 0.5*3 + 0.9*1) / 6
    assert found["pinball"] == pytest.approx(3.3 / 6)


def test_baselines_do_what_their_names_say(waves):
    held_out = Windows(waves, 48, 6, first=360, last=480)
    past, _ = held_out.take(np.array([400]), np.array([0]))
    assert (repeat(6, 1)(past) == past[:, -1:]).all()
    assert (repeat(6, 24)(past)[0] == waves[376:382, 0]).all()
    levels = (0.1, 0.5, 0.9)
    ridge = Ridge(Windows(waves, 48, 6, first=48, last=360))
    learnt = score_points(held_out, levels, ridge.forecast)
    assert learnt["mae"] < score_points(held_out, levels, repeat(6, 1))["mae"] / 2
    assert not any(name.startswith("coverage") for name in learnt)
