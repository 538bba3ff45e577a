"""The examiner: an untrusted bundle is opened for the first time in a sandboxed child, here.

Turns whatever happened to the child into one readable reason. Texts are from a fixed list; numbers,
tensor names and plain operator names are the only parts that come from outside.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plaza_accel.process import Ended, run_child
from plaza_core.manifest import Manifest
from plaza_core.ports import Examination

_log = logging.getLogger(__name__)

_WHERE: Final = {
    "read": "while the file was read",
    "check": "in onnx's checker",
    "open": "while it was opened and run on zeros",
}
_CRASHES: Final = {
    signal.SIGSEGV: "the model crashed the runtime (invalid memory access)",
    signal.SIGBUS: "the model crashed the runtime (invalid memory access)",
    signal.SIGFPE: "the model crashed the runtime (arithmetic fault)",
    signal.SIGILL: "the model crashed the runtime (illegal instruction)",
    signal.SIGABRT: "the runtime gave up on the model (aborted)",
    signal.SIGXCPU: "the model used up its processor time",
    signal.SIGKILL: "the system ended the examination, most likely for memory",
}


class _Verdict(BaseModel):
    """The child's word, taken as input from a stranger."""

    model_config = ConfigDict(extra="forbid", strict=True)

    runtime: str = Field(max_length=64)
    nodes: dict[Annotated[str, Field(max_length=64)], Annotated[int, Field(ge=0)]]
    peak_bytes: int = Field(ge=0)
    run_us: int = Field(ge=0)


class SandboxExaminer:
    """Examiner of one provider in one environment.

    `timeout_s` is wall time for everything; processor time has the same limit. `memory_mb` is
    address space, of which the interpreter and its libraries take about 250 MB. `python` is the
    interpreter of the environment that the bundle is meant for.
    """

    def __init__(
        self,
        timeout_s: float = 30.0,
        memory_mb: int = 3072,
        python: str = sys.executable,
        provider: str = "cpu",
    ) -> None:
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._python = python
        self._provider = provider

    def examine(self, directory: Path, manifest: Manifest) -> Examination:
        """Never raises for what the bundle does; the reason of a refusal says what it did."""
        return self.look(directory, manifest)[0]

    def look(
        self, directory: Path, manifest: Manifest, **more: object
    ) -> tuple[Examination, tuple[Mapping[str, Any], ...]]:
        """As `examine`, with all that the child said. `more` goes to the child."""
        request = {
            **more,
            "directory": str(directory.resolve()),
            "manifest": manifest.model_dump(mode="json", by_alias=True),
            "provider": self._provider,
            "memory_bytes": self._memory_mb << 20,
            "cpu_seconds": ceil(self._timeout_s),
        }
        ended = run_child(
            "plaza_accel.child", request, timeout_s=self._timeout_s, python=self._python
        )
        return self._judge(ended), ended.answers

    def _judge(self, ended: Ended) -> Examination:
        last = ended.answers[-1] if ended.answers else {}
        if "verdict" in last and ended.returncode == 0:
            try:
                return self._passed(_Verdict.model_validate(last["verdict"]))
            except ValidationError:
                return self._refused("the examination gave no readable verdict")
        reason = self._reason(ended)
        _log.info("examination on %s refused a bundle: %s", self._provider, reason)
        return self._refused(reason)

    def _reason(self, ended: Ended) -> str:
        last = ended.answers[-1] if ended.answers else {}
        phases = [answer["phase"] for answer in ended.answers if "phase" in answer]
        where = _WHERE.get(str(phases[-1]), "") if phases else "before it was read"
        if isinstance(last.get("refused"), str):
            return str(last["refused"])[:500]
        if isinstance(last.get("unconfined"), str):
            return "this machine has no sandbox for it: " + str(last["unconfined"])[:200]
        if ended.timed_out:
            return f"not finished after {self._timeout_s:g} s, {where}"
        if ended.signal is not None:
            crash = _CRASHES.get(ended.signal, f"ended by signal {ended.signal.value}")
            return f"{crash}, {where}"
        return f"the examination ended without a verdict, {where}"

    def _passed(self, verdict: _Verdict) -> Examination:
        return Examination(
            passed=True,
            reason="passed",
            provider=self._provider,
            runtime=verdict.runtime,
            nodes=verdict.nodes,
            peak_bytes=verdict.peak_bytes,
            run_us=verdict.run_us,
        )

    def _refused(self, reason: str) -> Examination:
        return Examination(
            passed=False,
            reason=reason,
            provider=self._provider,
            runtime="",
            nodes={},
            peak_bytes=0,
            run_us=0,
        )
