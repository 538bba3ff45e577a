"""A card reads back as what was written, and says the same for the same model."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_training.card import read_front_matter, write_card  # noqa: E402  after the skip
from plaza_training.data import DataSet  # noqa: E402
from plaza_training.parity import Parity  # noqa: E402
from plaza_training.recipe import Graph, Report, Story, Trained  # noqa: E402

DATA = DataSet("toy", "Toy — set", "CC0-1.0", "https://example.org", "somebody.", files=())
REPORT = Report(
    split="everything else",
    metrics={"mae": 1.23456789, "coverage": 80.0},
    baselines={"last value": {"mae": 2.0}},
)


def written():
    trained = Trained(
        graph=Graph(torch.nn.Identity(), {}, ()),
        family="forecast.quantile",
        options={},
        data=(DATA,),
        licence="MIT",
        story=Story("A title", "What it does.", "What it cannot do."),
        parameters={"steps": 10, "rate": 0.1},
        parity_inputs=(),
        evaluate=lambda served: REPORT,
    )
    parity = Parity(1.5e-6, 3.0, 98)
    return write_card("toy", trained, REPORT, parity, seed=3, made={"bytes": 10})


def test_the_front_matter_holds_every_number():
    front = read_front_matter(written())
    assert front["metrics"] == {"mae": 1.2346, "coverage": 80.0}
    assert front["baselines"] == {"last value": {"mae": 2.0}}
    assert front["parity"] == {"max_abs_error": 1.5e-6, "largest_output": 3.0, "rows": 98}
    assert front["parameters"] == {"steps": 10, "rate": 0.1}
    assert front["command"] == "python -m plaza_training toy --data DIR --out DIR --seed 3"
    assert front["data"][0]["title"] == "Toy — set"


def test_people_get_a_table_with_gaps_where_nothing_was_measured():
    text = written()
    assert "| mae | 1.235 | 2 |" in text
    assert "| coverage | 80 | – |" in text
    assert "What it cannot do." in text
    assert "- Toy — set (CC0-1.0): somebody." in text


def test_nothing_in_a_card_depends_on_when_it_was_made():
    assert written() == written()
