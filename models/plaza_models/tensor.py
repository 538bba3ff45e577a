"""The family `tensor`: models that speak tensors only, through the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from plaza_core.errors import InvalidBundle, InvalidInput
from plaza_core.manifest import Manifest
from plaza_core.running import Family
from plaza_core.tensors import Array


class TensorFamily:
    """Has no task: what goes in and out are the tensors of the signature."""

    def prepare(self, payload: Any) -> NoReturn:
        raise InvalidInput(
            "this model takes tensors; call it through the Open Inference Protocol", input="model"
        )

    def interpret(self, outputs: Mapping[str, Array], context: Any) -> dict[str, Array]:
        """The tensors are the answer."""
        return dict(outputs)


def open_family(directory: Path, manifest: Manifest) -> Family:  # noqa: ARG001 the port's names
    """Raises InvalidBundle for any option: there is none to set."""
    for option in manifest.options:
        raise InvalidBundle("the family 'tensor' has no options", input=f"options.{option}")
    return TensorFamily()
