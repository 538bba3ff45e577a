"""Inside a cell: what each call does. The bundle is read here and nowhere else.

open      ▸ nothing                              prepare   ▸ payload ─▶ tensors, token
run       ▸ inputs ─▶ outputs                    interpret ▸ outputs, token ─▶ answer

A token stands for the context, which stays here. Inputs and outputs of a run are in the order of
the manifest, or of the names that are asked for; nothing else need be said of them.
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
from plaza_accel.cells.mailbox import Verb
from plaza_accel.providers.cpu import CpuProvider
from plaza_core.errors import DeadlineExceeded, InvalidInput, ModelFailed, PlazaError
from plaza_core.manifest import manifest_from
from plaza_core.running import Family

if TYPE_CHECKING:
    import onnxruntime

    from plaza_accel.cells.mailbox import Message
    from plaza_accel.sessions.session import OrtRunner

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
        self._verbs: dict[int, Callable[[_Call], None]] = {
            Verb.OPEN: self._open,
            Verb.RUN: self._run,
            Verb.PREPARE: self._prepare,
            Verb.INTERPRET: self._interpret,
        }
        try:
            manifest = manifest_from(request["manifest"])
            signature = manifest.signature_spec()
            self._inputs = [spec.name for spec in signature.inputs]
            point = EntryPoint(manifest.family, request["family"], "plaza.families")
            self._family: Family = point.load()(directory, manifest, **request["options"])
            self._runner: OrtRunner = CpuProvider().open(directory, manifest)
        except PlazaError as error:
            self._refused = error
        except MemoryError:
            self._refused = ModelFailed("opening it takes more memory than a cell may have")

    def answer(self, message: Message) -> Message:
        call = _Call(parse(message), message, Writer(self._vocabulary))
        began = time.thread_time_ns()
        try:
            self._verbs[message.verb](call)
        except PlazaError as error:
            return call.failed(error, time.thread_time_ns() - began)
        except MemoryError:
            full = ModelFailed("the model ran out of memory on this input")
            return call.failed(full, time.thread_time_ns() - began)
        except Exception:  # noqa: BLE001 a fault of a family is an answer like any other
            return call.failed(_fault(message.verb), time.thread_time_ns() - began)
        return call.out.message(call.said, call.cpu_ns)

    def _open(self, call: _Call) -> None:
        if self._refused is not None:
            raise self._refused

    def _run(self, call: _Call) -> None:
        import onnxruntime

        inputs = dict(zip(self._inputs, call.arrays, strict=True))
        wanted = call.document.get("outputs")
        options = onnxruntime.RunOptions()
        self.terminator.begin(call.until_ns, options)
        began = time.thread_time_ns()
        try:
            outputs = self._runner.run(inputs, wanted, options)
        except ModelFailed:
            if options.terminate:
                raise DeadlineExceeded("the deadline passed while the model ran") from None
            raise
        finally:
            call.cpu_ns = time.thread_time_ns() - began
            self.terminator.end(options)
        call.out.arrays.extend(outputs.values())

    def _prepare(self, call: _Call) -> None:
        payload = call.reader().value(call.document["payload"])
        began = time.thread_time_ns()
        prepared = self._family.prepare(payload)
        call.cpu_ns = time.thread_time_ns() - began
        call.said.update(rows=prepared.rows, size=prepared.size, token=self._keep(prepared.context))
        call.said["names"] = list(prepared.tensors)
        call.out.arrays.extend(prepared.tensors.values())

    def _interpret(self, call: _Call) -> None:
        with self._lock:
            context = self._contexts.pop(call.document["token"])
        outputs = dict(zip(call.document["names"], call.arrays, strict=True))
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
        self.arrays = message.arrays
        self.until_ns = message.time_ns

    def reader(self) -> Reader:
        return Reader(self.out.vocabulary, self.arrays)

    def failed(self, error: PlazaError, cpu_ns: int) -> Message:
        said = {"error": error.code, "message": error.message, "input": error.input}
        return Writer(self.out.vocabulary).message(said, self.cpu_ns or cpu_ns)


def _fault(verb: int) -> PlazaError:
    if verb == Verb.PREPARE:
        return InvalidInput("this input cannot be prepared for the model")
    if verb == Verb.INTERPRET:
        return ModelFailed("the model's answer cannot be read")
    return ModelFailed("the model failed")
