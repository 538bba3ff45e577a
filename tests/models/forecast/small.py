"""A family of `forecast.quantile` with a graph of a few values, and what such a graph would say."""

from pathlib import Path

import numpy as np

from plaza_core.manifest import manifest_from
from plaza_models.forecast.quantile import open_family

CONTEXT, HORIZON, LEVELS = 4, 3, [0.05, 0.25, 0.5, 0.75, 0.95]
SPREAD = np.array([-4.0, -1.0, 0.0, 1.0, 4.0])
"""What is added to the last value for each quantile."""


def tensor(name, *shape):
    return {"name": name, "datatype": "FP32", "shape": ["batch", *shape]}


def family(series=1, known=(), **options):
    rows = (series,) if series > 1 else ()
    levels = options.get("quantiles", LEVELS)
    inputs = [tensor("values", *rows, CONTEXT)]
    if known:
        inputs.append(tensor("known", len(known), CONTEXT + HORIZON))
    said = {
        "context": CONTEXT, "horizon": HORIZON, "quantiles": LEVELS, "scaling": "none",
        "series": series, "known": list(known), **options,
    }  # fmt: skip
    outputs = [tensor("quantiles", *rows, len(levels), HORIZON)]
    signature = {"inputs": inputs, "outputs": outputs}
    document = {"name": "m", "family": "forecast.quantile", "options": said, "signature": signature}
    return open_family(Path(), manifest_from(document))


def last_value(tensors):
    """A graph that expects the last value to stay, and knows how far it may go."""
    last = tensors["values"][..., -1:]
    rows = np.repeat((last + SPREAD)[..., None], HORIZON, axis=-1)
    return {"quantiles": rows.astype(np.float32)}


def ask(opened, task):
    prepared = opened.prepare(task)
    assert len(prepared.tensors["values"]) == prepared.rows
    return opened.interpret(last_value(prepared.tensors), prepared.context)
