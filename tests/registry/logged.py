"""What an engineer does who knows nothing of Plaza: log an ONNX model with stock MLflow."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def linear_model(seed: int = 0, width: int = 64) -> onnx.ModelProto:
    """y = x @ w. From 1024 bytes on, MLflow keeps weights in a file of their own."""
    weights = np.random.default_rng(seed).standard_normal((width, width)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch_size", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch_size", width])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def weights_of(model: onnx.ModelProto) -> np.ndarray:
    return numpy_helper.to_array(model.graph.initializer[0])


@contextmanager
def tracking(uri):
    """MLflow's global address, as scripts of engineers set it."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield mlflow
    finally:
        mlflow.set_tracking_uri(before)
        mlflow.set_registry_uri(None)


def log_linear(uri, *, seed=0, width=64, registered=None, tags=None, experiment="0"):
    """Train, so to speak, and log; returns the run's id."""
    with (
        tracking(uri) as mlflow,
        mlflow.start_run(experiment_id=experiment, tags=tags or {}) as run,
    ):
        mlflow.log_metric("accuracy", 0.93)
        mlflow.onnx.log_model(
            linear_model(seed, width),
            name="model",
            registered_model_name=registered,
            pip_requirements=["onnx"],  # inferring them takes seconds
        )
    return run.info.run_id
