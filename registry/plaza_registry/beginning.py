"""`plaza models init`: from a model file to a directory that registers. Nothing of it is run."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from plaza_core import plugins
from plaza_core.errors import Conflict, InvalidBundle, InvalidInput
from plaza_core.manifest import CARD_FILE, MANIFEST_FILE, MODEL_FILE, Manifest
from plaza_core.readable import nearest
from plaza_core.tensors import NUMPY, Array, Dim, DType, TensorSpec
from plaza_registry.bundle import read_bundle, valid_path
from plaza_registry.drafting import draft, slug
from plaza_registry.graph import read_outline

SAMPLES = "samples"
_JSON_VALUES = 20_000
_SAMPLE_BYTES = 32 << 20
"""A sample is a JSON request, or beyond that many numbers an array per input, or none."""

_CARD = """\
---
licence: null         # an SPDX name, such as Apache-2.0
data: []              # - {{name: …, licence: …, source: …}}
metrics: {{}}           # accuracy: {{value: 0.93, split: what it was measured on}}
intended_use: null
out_of_scope: null
---
# {name}

What it does, what it was trained on, where it is wrong.
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """`digest` is None where the directory is no bundle yet; the first note then says why."""

    directory: Path
    written: Sequence[str]
    notes: Sequence[str]
    digest: str | None


def begin_bundle(
    model: Path,
    out: Path | None = None,
    *,
    name: str | None = None,
    family: str = "tensor",
    shapes: Mapping[str, Sequence[Dim]] | None = None,
    force: bool = False,
) -> Begun:
    """Write `plaza.yaml`, a card to fill in and a sample input beside `model`.

    A file called otherwise than `model.onnx`, or another `out`, is copied there first, with the
    files its weights lie in. Raises Conflict where there is a manifest, unless `force`, and
    InvalidBundle or InvalidInput for what cannot be described.
    """
    _known_family(family)
    outline = read_outline(model)
    directory = out or (model.parent if model.name == MODEL_FILE else model.with_suffix(""))
    drafted = draft(
        outline, name=name or slug(_title(model, directory)), family=family, shapes=shapes
    )
    if (directory / MANIFEST_FILE).exists() and not force:
        raise Conflict(f"there is a {MANIFEST_FILE} already; see --force", input=MANIFEST_FILE)
    _copy(model, directory, outline.external)
    notes, written = list(drafted.notes), [MANIFEST_FILE]
    manifest = drafted.manifest
    samples = _samples(manifest)
    for path, content in samples.items():
        (directory / SAMPLES).mkdir(exist_ok=True)
        (directory / path).write_bytes(content)
    if not samples:
        notes.append("no sample input was written; name one under 'samples'")
    manifest = manifest.model_copy(update={"samples": list(samples)})
    written += samples
    (directory / MANIFEST_FILE).write_text(_yaml(manifest), encoding="utf-8")
    if not (directory / CARD_FILE).exists():
        (directory / CARD_FILE).write_text(_CARD.format(name=manifest.name), encoding="utf-8")
        written.append(CARD_FILE)
    try:
        digest = str(read_bundle(directory).digest)
    except InvalidBundle as error:
        digest = None
        notes.insert(0, f"not a bundle yet: {error.input or 'the directory'}: {error.message}")
    return Begun(directory, written, notes, digest)


def _known_family(family: str) -> None:
    known = sorted(plugins.available(plugins.FAMILIES))
    if family not in known:
        guess = nearest(family, known)
        meant = f"; did you mean '{guess}'?" if guess else ""
        raise InvalidInput(f"expected one of {', '.join(known)}{meant}", input="family")


def _title(model: Path, directory: Path) -> str:
    return directory.resolve().name if model.name == MODEL_FILE else model.stem


def _copy(model: Path, directory: Path, external: Sequence[str]) -> None:
    """Each weight file keeps its name: the graph says it. Raises InvalidBundle where it cannot."""
    for path in external:
        valid_path(path)
        if not (model.parent / path).is_file():
            raise InvalidBundle(
                "the graph has weights in this file, which is not there", input=path
            )
    directory.mkdir(parents=True, exist_ok=True)
    for source, name in ((model, MODEL_FILE), *((model.parent / path, path) for path in external)):
        target = directory / name
        if target.exists() and target.samefile(source):
            continue
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)


def _samples(manifest: Manifest) -> dict[str, bytes]:
    """Path -> content: a request of the Open Inference Protocol, or its tensors as arrays.

    All zeros: valid for tokens, classes and indices. Other families have inputs of their own.
    """
    if manifest.family != "tensor":
        return {}
    specs = manifest.signature_spec().inputs
    zeros = {spec.name: _zeros(spec) for spec in specs}
    if sum(array.size for array in zeros.values()) <= _JSON_VALUES:
        inputs = [
            {
                "name": spec.name,
                "datatype": str(spec.datatype),
                "shape": list(zeros[spec.name].shape),
                "data": zeros[spec.name].ravel().tolist(),
            }
            for spec in specs
        ]
        return {f"{SAMPLES}/first.json": json.dumps({"inputs": inputs}).encode() + b"\n"}
    if sum(array.nbytes for array in zeros.values()) > _SAMPLE_BYTES or any(
        spec.datatype is DType.BYTES for spec in specs
    ):
        return {}
    return {
        f"{SAMPLES}/{number}-{slug(name)}.npy": _npy(array)
        for number, (name, array) in enumerate(zeros.items())
    }


def _zeros(spec: TensorSpec) -> Array:
    shape = [dim if isinstance(dim, int) else 1 for dim in spec.shape]
    if spec.datatype is DType.BYTES:
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, NUMPY[spec.datatype])


def _npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _yaml(manifest: Manifest) -> str:
    document = manifest.model_dump(mode="json", by_alias=True)
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=100)
