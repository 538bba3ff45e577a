"""A first `plaza.yaml` from a graph: axes named, joinable rows found, what was guessed told.

    outline ──▶ which first axis is a batch? ──▶ one name per symbol ──▶ manifest + notes

Rows are joined only where the graph lets no doubt: every tensor begins with the same variable axis,
which is nowhere else, and is not called a length. A wrong guess would be refused at registration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plaza_core.errors import InvalidBundle
from plaza_core.manifest import Manifest, manifest_from
from plaza_core.tensors import BATCH_AXIS, Dim
from plaza_registry.graph import Axis, Declared, Outline

Shapes = Mapping[str, Sequence[Dim]]
"""Tensor -> its shape, where the user knows better than the graph."""

_INVENTED = re.compile(r"unk__\d+|dynamic_axes_\d+|\?")
"""Symbols that a converter makes up, a new one for each axis: they say nothing."""
_LENGTH = re.compile(r"seq|len|time|step|token|word|height|width|detect|boxes")
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Draft:
    """`notes` are for whoever looks the manifest over, most important first."""

    manifest: Manifest
    notes: Sequence[str]


def draft(
    outline: Outline, *, name: str, family: str = "tensor", shapes: Shapes | None = None
) -> Draft:
    """Raises InvalidBundle naming the tensor that cannot be described without the user."""
    shapes, notes = shapes or {}, list[str]()
    known = {tensor.name for tensor in (*outline.inputs, *outline.outputs)}
    for stranger in sorted(set(shapes) - known):
        raise InvalidBundle(f"the graph has no such tensor; it has {', '.join(sorted(known))}",
                            input=stranger)  # fmt: skip
    inputs = [_served(tensor, shapes) for tensor in outline.inputs]
    outputs = []
    for tensor in outline.outputs:
        if tensor.datatype is None:
            notes.append(f"output '{tensor.name}' is left out: of its type nothing is served")
        else:
            outputs.append(_served(tensor, shapes))
    for what, found in (("input", inputs), ("output", outputs)):
        if not found:
            raise InvalidBundle(f"the graph has no {what} that could be served", input="model.onnx")
    names = _Names(inputs, outputs)
    if names.doubt:
        notes.append(names.doubt)
    data: dict[str, Any] = {
        "schema": 1,
        "name": name,
        "family": family,
        "signature": {
            "inputs": [_entry(tensor, names) for tensor in inputs],
            "outputs": [_entry(tensor, names) for tensor in outputs],
        },
    }
    if not names.joined:
        data["limits"] = {"max_batch": 1}
    if family != "tensor":
        notes.append(f"the family '{family}' has options of its own; write them under 'options'")
    return Draft(manifest_from(data), notes)


def slug(text: str) -> str:
    """A model name that is like `text`."""
    return _NOT_IN_A_NAME.sub("-", text.lower()).strip("-")[:63].strip("-") or "model"


def _served(tensor: Declared, shapes: Shapes) -> Declared:
    if tensor.datatype is None:
        raise InvalidBundle("an input of a type that is not served", input=tensor.name)
    if tensor.name in shapes:
        return Declared(tensor.name, tensor.datatype, tuple(shapes[tensor.name]))
    if tensor.shape is None:
        raise InvalidBundle(
            f"the graph does not say its shape; give it: --shape {tensor.name}=batch,3",
            input=tensor.name,
        )
    return tensor


def _entry(tensor: Declared, names: _Names) -> dict[str, Any]:
    assert tensor.shape is not None
    shape = [names.of(axis, first=at == 0) for at, axis in enumerate(tensor.shape)]
    return {"name": tensor.name, "datatype": str(tensor.datatype), "shape": shape}


class _Names:
    """One name for each symbol of a graph, and a name of its own for each axis without one."""

    def __init__(self, inputs: Sequence[Declared], outputs: Sequence[Declared]) -> None:
        self._given: dict[str, str] = {}
        self._taken = {BATCH_AXIS}
        self._batch: str | None = None
        self.doubt = self._why_not_joined(inputs, outputs)
        self.joined = self.doubt is None

    def of(self, axis: Axis, *, first: bool) -> Dim:
        if isinstance(axis, int):
            return axis
        symbol = _symbol(axis)
        if self.joined and ((first and symbol is None) or (symbol and symbol == self._batch)):
            return BATCH_AXIS
        if symbol is None:
            return self._fresh("axis")
        if symbol not in self._given:
            self._given[symbol] = self._fresh(_NOT_IN_A_NAME.sub("_", symbol.lower()).strip("_"))
        return self._given[symbol]

    def _fresh(self, wanted: str) -> str:
        """`wanted`, made a proper name that no other axis has."""
        base = (wanted if wanted[:1].isalpha() else f"axis_{wanted}")[:28].rstrip("_")
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name

    def _why_not_joined(
        self, inputs: Sequence[Declared], outputs: Sequence[Declared]
    ) -> str | None:
        """None, or why requests of this model cannot run together, in words."""
        alone = "so each request runs alone"
        tensors = (*inputs, *outputs)
        for tensor in tensors:
            if not tensor.shape or isinstance(tensor.shape[0], int):
                return f"'{tensor.name}' has no variable first axis, {alone}"
        symbols = {_symbol((tensor.shape or (None,))[0]) for tensor in tensors} - {None}
        if len(symbols) > 1:
            return f"first axes are called {' and '.join(sorted(map(str, symbols)))}, {alone}"
        self._batch = next(iter(symbols), None)
        if self._batch is None:
            return None
        if _LENGTH.search(self._batch.lower()):
            return f"the first axis is called '{self._batch}', {alone}"
        for tensor in tensors:
            if self._batch in (tensor.shape or ())[1:]:
                return f"'{tensor.name}' has the first axis in two places, {alone}"
        return None


def _symbol(axis: Axis) -> str | None:
    if not isinstance(axis, str) or _INVENTED.fullmatch(axis):
        return None
    return axis
