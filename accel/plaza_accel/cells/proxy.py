"""What the batcher sees of a cell: a Runner and a Family like any other.

Every answer is checked against the manifest that control sent, not against what the cell says of
itself: names, datatypes, sizes and rows, or the cell has lied and ends.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from plaza_accel.cells.cell import Cell
from plaza_accel.cells.documents import Reader, Vocabulary, Writer, parse
from plaza_accel.cells.mailbox import Lies, Message, Verb
from plaza_core import errors
from plaza_core.clock import Clock
from plaza_core.errors import InvalidTensor, ModelFailed, PlazaError
from plaza_core.manifest import Manifest
from plaza_core.running import Prepared
from plaza_core.tensors import NUMPY, Array, Signature, TensorSpec

_SAYABLE: Final[dict[str, type[PlazaError]]] = {
    kind.code: kind
    for kind in (
        errors.InvalidInput,
        errors.InvalidTensor,
        errors.InvalidBundle,
        errors.UnsupportedMedia,
        errors.PayloadTooLarge,
        errors.ModelFailed,
        errors.DeadlineExceeded,
        errors.Unavailable,
        errors.ProviderUnavailable,
    )
}
"""Errors that a cell may say; its other ones are failures of the model."""
_MOST_ROWS: Final = 1 << 20


class Line:
    """Calls to one cell, and what they need from above: a deadline, an account."""

    def __init__(
        self, cell: Cell, manifest: Manifest, vocabulary: Vocabulary, clock: Clock
    ) -> None:
        self.cell = cell
        self.vocabulary = vocabulary
        self._ceiling_ns = manifest.limits.deadline_ms * 1_000_000
        self._now = clock.monotonic_ns
        self._of_thread = threading.local()

    def bound(self, until_ns: int) -> None:
        """What this thread asks from here on must have ended by then (monotonic)."""
        self._of_thread.until_ns = until_ns

    def cpu_ns(self) -> int:
        """Processor time that this thread's calls have cost so far."""
        return getattr(self._of_thread, "cpu_ns", 0)

    def until_ns(self) -> int:
        ceiling: int = self._now() + self._ceiling_ns
        return min(ceiling, getattr(self._of_thread, "until_ns", ceiling))

    def ask(self, message: Message, until_ns: int) -> tuple[dict[str, Any], Message]:
        """Raises what the cell says, or CellDied."""
        answer, cost = self.cell.call(message, until_ns)
        self._of_thread.cpu_ns = self.cpu_ns() + cost
        try:
            document = parse(answer)
        except Lies as lie:
            raise self.cell.lied(lie) from None
        if "error" in document:
            raise _error(document)
        return document, answer


class CellRunner:
    """The session in the cell."""

    provider: Final = "cpu"

    def __init__(self, line: Line, manifest: Manifest, resident_bytes: int, idle_ns: int) -> None:
        self._line = line
        self._signature = manifest.signature_spec()
        self._inputs = [spec.name for spec in self._signature.inputs]
        self._specs = {spec.name: spec for spec in self._signature.outputs}
        self._outputs = list(self._specs)
        self._idle_ns = idle_ns
        self.resident_bytes = resident_bytes

    @property
    def signature(self) -> Signature:
        return self._signature

    @property
    def pid(self) -> int:
        return self._line.cell.pid

    @property
    def ended(self) -> bool:
        return self._line.cell.ended is not None

    def idle(self, now_ns: int) -> bool:
        return 0 < self._idle_ns < now_ns - self._line.cell.used_ns

    def bound(self, until_ns: int) -> None:
        self._line.bound(until_ns)

    def cpu_ns(self) -> int:
        return self._line.cpu_ns()

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """As the port says; also DeadlineExceeded, CellDied and PayloadTooLarge."""
        rows = self._signature.check(dict(inputs))
        for name in outputs or ():
            if name not in self._specs:
                raise InvalidTensor("the model has no such output", input=name)
        until_ns = self._line.until_ns()
        arrays = [inputs[name] for name in self._inputs]
        document = b"" if outputs is None else json.dumps({"outputs": list(outputs)}).encode()
        answer = self._line.ask(Message(document, arrays, until_ns, Verb.RUN), until_ns)[1]
        wanted = self._outputs if outputs is None else list(outputs)
        if len(answer.arrays) != len(wanted):
            raise self._line.cell.lied("other outputs than were asked for")
        expected = rows if self._signature.batched else None
        for name, array in zip(wanted, answer.arrays, strict=True):
            self._check(self._specs[name], array, expected)
        return dict(zip(wanted, answer.arrays, strict=True))

    def _check(self, spec: TensorSpec, array: Array, rows: int | None) -> None:
        """What is not of the declared type is a lie; sizes may go wrong in an honest model."""
        if array.dtype != NUMPY[spec.datatype]:
            raise self._line.cell.lied("an output of another datatype")
        try:
            spec.check(array)
        except InvalidTensor as error:
            raise ModelFailed(f"an output: {error.message}", input=spec.name) from None
        if rows is not None and len(array) != rows:
            raise ModelFailed("the model gave another number of rows", input=spec.name)

    def close(self) -> None:
        self._line.cell.end("it was closed")


class CellFamily:
    """The family in the cell."""

    def __init__(self, line: Line, manifest: Manifest) -> None:
        self._line = line
        self._signature = manifest.signature_spec()

    def prepare(self, payload: Any) -> Prepared:
        out = Writer(self._line.vocabulary)
        document = {"payload": out.value(payload)}
        message = out.message(document, verb=Verb.PREPARE)
        said, answer = self._line.ask(message, self._line.until_ns())
        names, token, size = said.get("names"), said.get("token"), said.get("size")
        sized = size is None or (type(size) is int and 0 <= size < 1 << 53)
        if (
            type(names) is not list
            or len(names) != len(answer.arrays)
            or not sized
            or type(token) is not int
        ):
            raise self._line.cell.lied("no prepared input")
        tensors = {str(name): a for name, a in zip(names, answer.arrays, strict=True)}
        try:
            rows = self._signature.check(tensors)
        except InvalidTensor as error:
            raise self._line.cell.lied(error.message) from None
        if said.get("rows") != rows or rows > _MOST_ROWS:
            raise self._line.cell.lied("another number of rows than it prepared")
        return Prepared(tensors, rows, context=token, size=size)

    def interpret(self, outputs: Mapping[str, Array], context: Any) -> Any:
        out = Writer(self._line.vocabulary, list(outputs.values()))
        document = {"names": list(outputs), "token": context}
        message = out.message(document, verb=Verb.INTERPRET)
        said, answer = self._line.ask(message, self._line.until_ns())
        try:
            return Reader(self._line.vocabulary, answer.arrays).value(said.get("answer"))
        except Lies as lie:
            raise self._line.cell.lied(lie) from None


def _error(document: Mapping[str, Any]) -> PlazaError:
    """What the cell refuses, in words that are no longer than ours and printable."""
    kind = _SAYABLE.get(str(document["error"]), ModelFailed)
    where = document.get("input")
    return kind(_plain(document.get("message")), input=None if where is None else _plain(where))


def _plain(text: object) -> str:
    return "".join(each if each.isprintable() else " " for each in str(text)[:300])
