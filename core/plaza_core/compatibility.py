"""What changes for callers when one version answers in the place of another.

A change is breaking when a request that was answered before may now be refused, or its answer no
longer be what a caller had to expect. What is asked for may become less, what is answered may
become more:

    input   an axis gets free, a tensor goes … may break: `x` sent though it is gone is refused
    output  an axis gets fixed, a tensor comes: nobody who read it before notices
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from plaza_core.manifest import Manifest, TensorEntry

Side = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class SignatureChange:
    """One difference between two manifests. `before` and `after` are for people."""

    where: str
    """Such as `input x`, `output boxes axis 1`, `limits.deadline_ms`, `options.labels`."""
    before: str | None
    after: str | None
    breaking: bool

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.where} is new ({self.after})"
        if self.after is None:
            return f"{self.where} is gone (was {self.before})"
        return f"{self.where}: {self.before} → {self.after}"


def changes(before: Manifest, after: Manifest) -> list[SignatureChange]:
    """Every difference that a caller could notice; breaking ones first."""
    found = [
        *_scalar("family", before.family, after.family, breaking=True),
        *_tensors("input", before.signature.inputs, after.signature.inputs),
        *_tensors("output", before.signature.outputs, after.signature.outputs),
        *_limits(before, after),
        *_options("options", before.options, after.options),
    ]
    return sorted(found, key=lambda change: not change.breaking)


def breaking(before: Manifest, after: Manifest) -> list[SignatureChange]:
    return [change for change in changes(before, after) if change.breaking]


def _scalar(where: str, old: Any, new: Any, *, breaking: bool) -> Iterator[SignatureChange]:
    if old != new:
        yield SignatureChange(where, _text(old), _text(new), breaking)


def _limits(before: Manifest, after: Manifest) -> Iterator[SignatureChange]:
    """A batch is divided as needed, whatever the caller sent; a deadline over the ceiling is cut
    to it, so who waits for long may now wait in vain."""
    old, new = before.limits, after.limits
    yield from _scalar("limits.max_batch", old.max_batch, new.max_batch, breaking=False)
    shorter = new.deadline_ms < old.deadline_ms
    yield from _scalar("limits.deadline_ms", old.deadline_ms, new.deadline_ms, breaking=shorter)


def _options(
    where: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[SignatureChange]:
    """Said, but no break: they change what an answer means, not whether there is one."""
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            before = _text(old[name]) if name in old else None
            after = _text(new[name]) if name in new else None
            yield SignatureChange(f"{where}.{name}", before, after, breaking=False)


def _tensors(
    side: Side, old: Sequence[TensorEntry], new: Sequence[TensorEntry]
) -> Iterator[SignatureChange]:
    then, now = ({tensor.name: tensor for tensor in tensors} for tensors in (old, new))
    for name, tensor in then.items():
        if name not in now:
            yield SignatureChange(f"{side} {name}", _shape(tensor), None, breaking=True)
        else:
            yield from _tensor(side, tensor, now[name])
    for name, tensor in now.items():
        if name not in then:
            yield SignatureChange(f"{side} {name}", None, _shape(tensor), side == "input")
    if side == "input":
        yield from _tied(old, new, then.keys() & now.keys())


def _tensor(side: Side, old: TensorEntry, new: TensorEntry) -> Iterator[SignatureChange]:
    where = f"{side} {old.name}"
    yield from _scalar(f"{where} datatype", old.datatype, new.datatype, breaking=True)
    if len(old.shape) != len(new.shape):
        yield SignatureChange(where, _shape(old), _shape(new), breaking=True)
        return
    for at, (then, now) in enumerate(zip(old.shape, new.shape, strict=True)):
        if then == now:
            continue
        # Of two names neither asks for more; a number is the strictest that an axis can be.
        strict = now if side == "input" else then
        yield SignatureChange(
            f"{where} axis {at}", str(then), str(now), breaking=isinstance(strict, int)
        )


def _tied(
    old: Sequence[TensorEntry], new: Sequence[TensorEntry], names: set[str]
) -> Iterator[SignatureChange]:
    """Axes of one name have one length: two that were free of each other may be tied now."""
    then, now = _groups(old, names), _groups(new, names)
    for name, places in now.items():
        if len(places) > 1 and not any(places <= others for others in then.values()):
            where = ", ".join(f"{tensor} axis {at}" for tensor, at in sorted(places))
            yield SignatureChange(f"inputs {where}", "free", f"all {name}", breaking=True)


def _groups(tensors: Sequence[TensorEntry], names: set[str]) -> dict[str, set[tuple[str, int]]]:
    found: dict[str, set[tuple[str, int]]] = {}
    for tensor in tensors:
        for at, axis in enumerate(tensor.shape):
            if isinstance(axis, str) and tensor.name in names:
                found.setdefault(axis, set()).add((tensor.name, at))
    return found


def _shape(tensor: TensorEntry) -> str:
    return f"{tensor.datatype} [{', '.join(map(str, tensor.shape))}]"


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_LONGEST = 80
