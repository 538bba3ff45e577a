"""`plaza.yaml`: the manifest inside a bundle. Validated once, here; frozen afterwards.

The digest of a bundle covers the manifest and every other file except the card, so the card may be
corrected without making a new version. JSON schema: `contracts/bundle.schema.json` (tested equal).
"""

from __future__ import annotations

import json
from math import prod
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from plaza_core.errors import InvalidBundle
from plaza_core.padding import MOST_SHAPES, variable
from plaza_core.readable import explain
from plaza_core.tensors import BATCH_AXIS, Dim, DType, Signature, TensorSpec
from plaza_core.yaml_text import load_mapping

MANIFEST_FILE = "plaza.yaml"
MODEL_FILE = "model.onnx"
CARD_FILE = "CARD.md"
MOST_ELEMENTS = 1 << 40
"""Of one row of a tensor."""

_Frozen = ConfigDict(frozen=True, extra="forbid")
_Axis = Annotated[
    Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")],
    Field(description="a size, or an axis name of lower-case letters, digits and '_', up to 32"),
]


class TensorEntry(BaseModel):
    """One input or output. A variable axis is given by a name; `batch` first means joinable."""

    model_config = _Frozen

    name: str = Field(min_length=1, max_length=256)
    datatype: DType
    shape: list[_Axis]

    @field_validator("shape")
    @classmethod
    def _possible(cls, value: list[int | str]) -> list[int | str]:
        if prod(dim for dim in value if isinstance(dim, int)) > MOST_ELEMENTS:
            raise ValueError("one row of this has more elements than any machine holds")
        return value

    def spec(self) -> TensorSpec:
        dims: tuple[Dim, ...] = tuple(self.shape)
        return TensorSpec(self.name, self.datatype, dims)


class SignatureEntry(BaseModel):
    model_config = _Frozen

    inputs: list[TensorEntry] = Field(min_length=1)
    outputs: list[TensorEntry] = Field(min_length=1)

    @field_validator("inputs", "outputs")
    @classmethod
    def _unique(cls, value: list[TensorEntry]) -> list[TensorEntry]:
        names = [entry.name for entry in value]
        if len(set(names)) != len(names):
            raise ValueError("tensor names must be unique")
        return value


class Limits(BaseModel):
    """What one request and one batch may ask of the model."""

    model_config = _Frozen

    max_batch: int = Field(default=32, ge=1, le=4096, description="rows joined in one run")
    deadline_ms: int = Field(default=10_000, ge=1, le=600_000, description="default and ceiling")
    latency_target_ms: int | None = Field(
        default=None,
        ge=1,
        le=600_000,
        description="a request that would be answered later than this, because others wait, is "
        "refused at once, and half of it is how long a joined run may take; not given: what the "
        "hub's settings say",
    )


class Manifest(BaseModel):
    """The content of `plaza.yaml`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", serialize_by_alias=True, validate_by_name=True
    )

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(
        pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$",
        description="a name of lower-case letters, digits and '-', up to 63",
    )
    family: str = Field(
        default="tensor",
        max_length=100,
        description="entry point in `plaza.families`; `tensor` means raw tensors",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="checked by the family")
    signature: SignatureEntry
    limits: Limits = Limits()
    buckets: dict[str, Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]] = (
        Field(
            default_factory=dict,
            description="variable axis -> ascending sizes that it is padded to, so that requests "
            "of nearly one length can be joined; the last is the most that the model takes",
        )
    )
    providers: list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]] = Field(
        default_factory=list,
        max_length=64,
        description="providers that it is meant for; none named: all that a hub has",
    )
    samples: list[str] = Field(
        default_factory=list, max_length=64, description="files with sample inputs"
    )

    @field_validator("options")
    @classmethod
    def _written(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(value, allow_nan=False)
        except (ValueError, TypeError, RecursionError):
            raise ValueError("only text, finite numbers, lists and mappings are options") from None
        return value

    @field_validator("buckets")
    @classmethod
    def _fitting(
        cls, value: dict[str, tuple[int, ...]], info: ValidationInfo
    ) -> dict[str, tuple[int, ...]]:
        signature = info.data.get("signature")
        inputs = [] if signature is None else [entry.spec() for entry in signature.inputs]
        axes = [axis for axis in variable(inputs) if axis != BATCH_AXIS]
        for axis, sizes in value.items():
            if signature is not None and axis not in axes:
                known = f"one of {', '.join(axes)}" if axes else "none, for no input has any"
                raise ValueError(f"'{axis}' is no variable axis to pad; expected {known}")
            if list(sizes) != sorted(set(sizes)):
                raise ValueError(f"the sizes of '{axis}' must ascend")
        if prod(map(len, value.values())) > MOST_SHAPES:
            raise ValueError(f"there may be {MOST_SHAPES} combinations of sizes")
        return value

    def meant_for(self, provider: str) -> bool:
        return not self.providers or provider in self.providers

    def signature_spec(self) -> Signature:
        return Signature(
            tuple(entry.spec() for entry in self.signature.inputs),
            tuple(entry.spec() for entry in self.signature.outputs),
        )


def parse_manifest(text: str | bytes) -> Manifest:
    """Read `plaza.yaml`. Raises InvalidBundle naming the field that is wrong."""
    return manifest_from(load_mapping(text, name=MANIFEST_FILE))


def manifest_from(data: dict[str, Any]) -> Manifest:
    """Raises InvalidBundle: which field, what was found, what is allowed, what was meant."""
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        where, what = explain(error, Manifest)
        raise InvalidBundle(what, input=where or MANIFEST_FILE) from None
