"""A classifier that rejects, from sentences to a bundle that says so when it is asked."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from plaza_training.pipeline import produce  # noqa: E402  after the skip
from plaza_training.text import classify, scope  # noqa: E402
from plaza_training.text.bags import Bags  # noqa: E402
from plaza_training.text.made import CLASSES, make_messages  # noqa: E402
from plaza_training.text.rejecting import OUTSIDE  # noqa: E402

pytestmark = pytest.mark.torch

STRANGE = frozenset({"parking"})
KNOWN = frozenset(CLASSES) - STRANGE


def test_what_belongs_to_no_label_is_said_to(job, tmp_path, runners):
    random = np.random.default_rng(0)
    learning, checking, asking = (make_messages(random, count) for count in (300, 200, 200))
    parts = scope.Parts(
        learning.only(KNOWN),
        *(some.only(labels) for some in (checking, asking) for labels in (KNOWN, STRANGE)),
    )
    options = scope.OPTIONS.model_copy(update={"buckets": 4096})
    bags = Bags(parts.learning.texts, options)
    known = classify.Known(bags, classify.numbered(parts.learning), bags.rarity(options.buckets))
    choices = replace(scope.CHOICES, epochs=20, dimension=16, rows_per_step=16)
    made = produce(
        "requests",
        lambda given: scope.train(parts, known, options, choices, job=given),
        job,
        tmp_path / "out",
        runners,
    )
    assert made.report.metrics["in_scope_percent"] > 85
    # Messages about parking name the same places, so few of so few stand out.
    assert made.report.metrics["out_of_scope_recall_percent"] > 15
    assert (made.directory / "labels.txt").read_text().split() == [*sorted(KNOWN), OUTSIDE]
