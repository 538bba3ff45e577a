"""torch module -> one ONNX file whose bytes depend on nothing but the module.

Source: torch.onnx's exporter over torch.export (`dynamo=True`). It leaves stack traces with paths
of the exporting machine in the metadata; they are removed, so that the same weights give the
same digest anywhere and a bundle tells nothing about where it was made.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import torch
from torch import nn

from plaza_core.errors import InvalidBundle
from plaza_core.tensors import BATCH_AXIS, Array

OPSET = 18
"""The exporter's own opset: needs no conversion and every runtime in `ort-*` knows it."""
IR_VERSION = 10
"""Older than what `onnx` writes by default: ONNX Runtime builds of vendors lag behind."""


def export(
    module: nn.Module,
    inputs: Mapping[str, Array],
    outputs: Sequence[str],
    *,
    variable: str | None = None,
    opset: int = OPSET,
) -> bytes:
    """Serialise `module` in evaluation mode; axis 0 of every input and output is `batch`, axis 1 of
    every input `variable`, if it is to vary.

    `inputs` are examples with two rows or more (torch specialises on 0 and 1), in the order of
    the module's arguments. Weights are inside the file. Raises InvalidBundle when the graph does
    not keep the batch axis free.
    """
    arguments = tuple(torch.from_numpy(array) for array in inputs.values())
    axes = {0: torch.export.Dim(BATCH_AXIS, min=1, max=4096)}
    if variable is not None:
        axes[1] = torch.export.Dim(variable, min=1, max=65_536)
    program = _quiet_export(
        module.eval(),
        arguments,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_shapes=tuple(axes for _ in arguments),
        opset_version=opset,
    )
    model: onnx.ModelProto = program.model_proto
    _forget_origin(model)
    _name_axes(model, variable)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _quiet_export(module: nn.Module, arguments: tuple[torch.Tensor, ...], **options: Any) -> Any:
    """The exporter logs every step and warns about its own internals; errors still surface."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.onnx.export(
                module, arguments, dynamo=True, external_data=False, verbose=False, **options
            )
    finally:
        logger.setLevel(level)


def _forget_origin(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "plaza", "", ""
    graph = model.graph
    graph.name, graph.doc_string = "model", ""
    del graph.metadata_props[:]
    del graph.value_info[:]
    for entry in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        entry.doc_string = ""
        del entry.metadata_props[:]


def _name_axes(model: onnx.ModelProto, variable: str | None) -> None:
    """The exporter has its own names for what varies."""
    for value in (*model.graph.input, *model.graph.output):
        _name_axis(value, 0, BATCH_AXIS)
    if variable is not None:
        for value in model.graph.input:
            _name_axis(value, 1, variable)


def _name_axis(value: onnx.ValueInfoProto, place: int, name: str) -> None:
    axis = value.type.tensor_type.shape.dim[place]
    if not axis.dim_param:
        raise InvalidBundle(f"the exported graph fixes its axis '{name}'", input=value.name)
    axis.dim_param = name
