"""What people give to `plaza infer`: files and words, turned into arrays and text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

import plaza
from plaza_core.tensors import NUMPY, DType
from plaza_serving.cli.sheets import refused

Array = NDArray[Any]


def named(options: Sequence[str]) -> dict[str, str]:
    """`name=value` options as a mapping."""
    pairs = [option.partition("=") for option in options]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise typer.BadParameter("expected name=@file.npy, name=@file.json or name=[…]")
    return {name: value for name, _, value in pairs}


def array(text: str) -> Array | Any:
    """An array of a `.npy` file, as it is; else the nested lists of a JSON file or literal."""
    try:
        if not text.startswith("@"):
            return json.loads(text)
        path = Path(text[1:])
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        return json.loads(path.read_text())
    except OSError as error:
        raise typer.BadParameter(f"{text[1:]}: {error.strerror}") from None
    except ValueError:
        raise typer.BadParameter(
            f"{text[:60]}: neither JSON nor an array without objects"
        ) from None


def typed(value: Any, name: str, known: Sequence[plaza.Tensor]) -> Array:
    """Nested lists as an array of the datatype that the model wants for input `name`."""
    spec = next((tensor for tensor in known if tensor.name == name), None)
    if spec is None:
        names = ", ".join(tensor.name for tensor in known)
        raise typer.BadParameter(f"the model has no input '{name}'; it has {names}")
    try:
        return np.array(value, NUMPY[DType(spec.datatype)])
    except (ValueError, TypeError, OverflowError):
        raise typer.BadParameter(f"input '{name}' must be an array of {spec.datatype}") from None


def text(path: Path) -> str:
    """What a file of text holds."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise refused("no text in UTF-8", path) from None
