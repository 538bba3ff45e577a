"""Inside a cell: what each call does. The bundle is read here and nowhere else.

open ▸ {}     run ▸ inputs ─▶ outputs     prepare ▸ payload ─▶ tensors, token
interpret ▸ outputs, token ─▶ answer      (a token stands for the context, which stays here)
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from plaza_accel.cells.documents import Reader, Vocabulary, Writer, parse
from plaza_accel.cpu import CpuProvider
from plaza_core.errors import DeadlineExceeded, InvalidInput, ModelFailed, PlazaError
from plaza_core.manifest import manifest_from
from plaza_core.ports import Family
from plaza_core.tensors import Array

if TYPE_CHECKING:
    import onnxruntime

    from plaza_accel.cells.mailbox import Mailbox, Message
    from plaza_accel.session import OrtRunner

_MOST_CONTEXTS: Final = 16_384
_NEVER: Final = 1 << 62


class Terminator:
    """Stops runs at their deadlines. Sleeps until the earliest one it was told of, also when that
    run has ended meanwhile: else every short run would wake it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: dict[int, tuple[int, onnxruntime.RunOptions]] = {}
        self._next_ns = _NEVER

    def begin(self, until_ns: int, options: onnxruntime.RunOptions) -> None:
        with self._changed:
            self._running[id(options)] = (until_ns, options)
            if until_ns < self._next_ns:
                self._next_ns = until_ns
                self._changed.notify()

    def end(self, options: onnxruntime.RunOptions) -> None:
        with self._changed:
            del self._running[id(options)]

    def run(self) -> None:
        """For ever."""
        with self._changed:
            while True:
                now = time.monotonic_ns()
                if now >= self._next_ns:
                    self._stop_late(now)
                never = self._next_ns == _NEVER
                self._changed.wait(None if never else (self._next_ns - now) / 1e9)

    def _stop_late(self, now: int) -> None:
        ahead = [_NEVER]
        for until_ns, options in self._running.values():
            if until_ns > now:
                ahead.append(until_ns)
            else:
                options.terminate = True
        self._next_ns = min(ahead)


class Served:
    """The opened bundle. Made once; `answer` is called by one thread per channel."""

    def __init__(self, directory: Path, request: Mapping[str, Any]) -> None:
        self.terminator = Terminator()
        self._vocabulary = Vocabulary.of(request["vocabulary"])
        self._contexts: OrderedDict[int, Any] = OrderedDict()
        self._tokens = 0
        self._lock = threading.Lock()
        self._refused: PlazaError | None = None
        self._verbs: dict[Any, Callable[[_Call], None]] = {
            "open": self._open,
            "run": self._run,
            "prepare": self._prepare,
            "interpret": self._interpret,
        }
        try:
            manifest = manifest_from(request["manifest"])
            point = EntryPoint(manifest.family, request["family"], "plaza.families")
            self._family: Family = point.load()(directory, manifest, **request["options"])
            self._runner: OrtRunner = CpuProvider().open(directory, manifest)
        except PlazaError as error:
            self._refused = error
        except MemoryError:
            self._refused = ModelFailed("opening it takes more memory than a cell may have")

    def answer(self, mailbox: Mailbox, sequence: int) -> Message:
        message = mailbox.take(sequence)
        call = _Call(parse(message), message, Writer(self._vocabulary))
        began = time.thread_time_ns()
        try:
            self._verbs[call.document["op"]](call)
        except PlazaError as error:
            return call.failed(error, time.thread_time_ns() - began)
        except MemoryError:
            full = ModelFailed("the model ran out of memory on this input")
            return call.failed(full, time.thread_time_ns() - began)
        except Exception:  # noqa: BLE001 a fault of a family is an answer like any other
            return call.failed(_fault(call.document["op"]), time.thread_time_ns() - began)
        return call.out.message(call.said, call.cpu_ns)

    def _open(self, call: _Call) -> None:
        if self._refused is not None:
            raise self._refused

    def _run(self, call: _Call) -> None:
        import onnxruntime

        inputs = call.tensors()
        until_ns = call.document["until"]
        options = onnxruntime.RunOptions()
        self.terminator.begin(until_ns, options)
        began = time.thread_time_ns()
        try:
            outputs = self._runner.run(inputs, call.document["outputs"], options)
        except ModelFailed:
            if options.terminate:
                raise DeadlineExceeded("the deadline passed while the model ran") from None
            raise
        finally:
            call.cpu_ns = time.thread_time_ns() - began
            self.terminator.end(options)
        call.give(outputs)

    def _prepare(self, call: _Call) -> None:
        payload = call.reader().value(call.document["payload"])
        began = time.thread_time_ns()
        prepared = self._family.prepare(payload)
        call.cpu_ns = time.thread_time_ns() - began
        call.said.update(rows=prepared.rows, size=prepared.size, token=self._keep(prepared.context))
        call.give(prepared.tensors)

    def _interpret(self, call: _Call) -> None:
        with self._lock:
            context = self._contexts.pop(call.document["token"])
        outputs = call.tensors()
        began = time.thread_time_ns()
        answer = self._family.interpret(outputs, context)
        call.cpu_ns = time.thread_time_ns() - began
        call.said["answer"] = call.out.value(answer)

    def _keep(self, context: Any) -> int:
        """Contexts whose answer is never asked for (the run failed) are the first to go."""
        with self._lock:
            self._tokens += 1
            self._contexts[self._tokens] = context
            if len(self._contexts) > _MOST_CONTEXTS:
                self._contexts.popitem(last=False)
            return self._tokens


class _Call:
    """One call under way: what was asked, what will be answered."""

    def __init__(self, document: dict[str, Any], message: Message, out: Writer) -> None:
        self.document = document
        self.out = out
        self.said: dict[str, Any] = {}
        self.cpu_ns = 0
        self._arrays = message.arrays

    def reader(self) -> Reader:
        return Reader(self.out.vocabulary, self._arrays)

    def tensors(self) -> dict[str, Array]:
        return dict(zip(self.document["names"], self._arrays, strict=True))

    def give(self, tensors: Mapping[str, Array]) -> None:
        self.said["names"] = list(tensors)
        for array in tensors.values():
            self.out.add(array)

    def failed(self, error: PlazaError, cpu_ns: int) -> Message:
        said = {"error": error.code, "message": error.message, "input": error.input}
        return Writer(self.out.vocabulary).message(said, self.cpu_ns or cpu_ns)


def _fault(verb: str) -> PlazaError:
    if verb == "prepare":
        return InvalidInput("this input cannot be prepared for the model")
    if verb == "interpret":
        return ModelFailed("the model's answer cannot be read")
    return ModelFailed("the model failed")
