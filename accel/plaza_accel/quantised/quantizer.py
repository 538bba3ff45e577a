"""The parent's half: starts the children, takes what they say as input from strangers.

Neither child can write a file; the first one writes into one that was opened for it here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plaza_accel.sandbox.process import Ended, run_child
from plaza_core.errors import InvalidBundle, SandboxUnavailable
from plaza_core.manifest import MODEL_FILE, Manifest

Said = TypeVar("Said", bound=BaseModel)
_Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_MODULE: Final = "plaza_accel.quantised.child"
_GB: Final = 1 << 30
_TIMES: Final = 8
"""Copies of the weights that quantising holds at once: file, message, arrays, both results."""


class Made(BaseModel):
    """The new model: how many operators changed (0: none would gain), which part of the bytes of
    the weights was theirs, and how large it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: int = Field(ge=0)
    share: float = Field(ge=0, le=1)
    bytes: int = Field(ge=0)


class Compared(BaseModel):
    """What it costs and gains. Differences are relative to the reference's magnitude."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    basis: Literal["samples", "random tensors"]
    rows: int = Field(ge=1)
    largest: _Number
    mean: _Number
    agreement: float = Field(ge=0, le=1)
    """Of rows, whose first output is largest at the same place."""
    us_before: _Number
    us_after: _Number

    @property
    def inputs(self) -> str:
        """What it was compared on, in words."""
        return f"{self.rows} row{'' if self.rows == 1 else 's'} of {self.basis}"


@dataclass(frozen=True, slots=True)
class Quantizer:
    """`timeout_s` is for each child."""

    timeout_s: float = 300.0

    def quantise(
        self,
        directory: Path,
        out: BinaryIO,
        *,
        per_channel: bool = False,
        convolutions: bool = False,
    ) -> Made:
        """Write the quantised model of the bundle into `out`, a real file.

        Raises InvalidBundle for what the gate refuses, and SandboxUnavailable.
        """
        size = _bytes_of(directory)
        request = {
            "step": "quantise",
            "directory": str(directory.resolve()),
            "readable": [str(directory.resolve())],
            "per_channel": per_channel,
            "convolutions": convolutions,
            "descriptor": out.fileno(),
            "file_bytes": 2 * size + (1 << 20),
        }
        made = self._ask(request, size, "quantised", Made, (out.fileno(),))
        if made.bytes != out.seek(0, 2):
            raise InvalidBundle("the quantised model was not written whole", input=MODEL_FILE)
        return made

    def compare(
        self,
        directory: Path,
        quantised: Path,
        manifest: Manifest,
        *,
        samples: Sequence[Path] = (),
        task: Mapping[str, str] | None = None,
    ) -> Compared:
        """Both bundles on the samples of the first one and on further files; see `feeds`."""
        paths = [path.resolve() for path in (directory, quantised, *samples)]
        request = {
            "step": "compare",
            "directory": str(paths[0]),
            "quantised": str(paths[1]),
            "samples": [str(path) for path in paths[2:]],
            "readable": [str(path) for path in paths],
            "manifest": manifest.model_dump(mode="json", by_alias=True),
            "task": None if task is None else dict(task),
            "file_bytes": 0,
        }
        size = _bytes_of(directory) + _bytes_of(quantised)
        return self._ask(request, size, "compared", Compared, ())

    def _ask(
        self,
        request: Mapping[str, Any],
        size: int,
        word: str,
        shape: type[Said],
        descriptors: Sequence[int],
    ) -> Said:
        limits = {"memory_bytes": 3 * _GB + _TIMES * size, "cpu_seconds": int(self.timeout_s)}
        ended = run_child(
            _MODULE, {**request, **limits}, timeout_s=self.timeout_s, pass_fds=descriptors
        )
        last = ended.answers[-1] if ended.answers else {}
        if isinstance(last.get("unconfined"), str):
            raise SandboxUnavailable("this machine cannot confine a model; see 'plaza doctor'")
        if word in last and ended.returncode == 0:
            try:
                return shape.model_validate(last[word])
            except ValidationError:
                pass  # told below like any other end without an answer
        raise InvalidBundle(_why(ended), input=MODEL_FILE)


def new_file() -> BinaryIO:
    """For `Quantizer.quantise`; gone when it is closed."""
    return tempfile.TemporaryFile()


def _why(ended: Ended) -> str:
    last = ended.answers[-1] if ended.answers else {}
    if isinstance(last.get("refused"), str):
        return str(last["refused"])[:500]
    phases = [str(answer["phase"]) for answer in ended.answers if "phase" in answer]
    where = f" (in step '{phases[-1][:20]}')" if phases else ""
    if ended.timed_out:
        return f"it took too long{where}"
    return f"the sandboxed process ended without an answer{where}"


def _bytes_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
