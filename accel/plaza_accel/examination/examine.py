"""The examiner: an untrusted bundle is opened for the first time in a sandboxed child, here.

Turns whatever happened to the child into a rule and one readable reason. Texts are from a fixed
list; numbers, tensor names and plain operator names are the only parts that come from outside.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plaza_accel.contract.needs import admitted
from plaza_accel.examination.interpreter import needs_in
from plaza_accel.gate.proportion import LEAST_CPU_S, Allowance, allowance, most
from plaza_accel.gate.rules import Refused, Rule, printable, shown_node
from plaza_accel.sandbox.process import Ended, run_child
from plaza_core.errors import SandboxUnavailable
from plaza_core.manifest import Manifest
from plaza_core.running import Examination

_log = logging.getLogger(__name__)

_WHERE: Final = {
    "read": "while the file was read",
    "check": "in onnx's checker",
    "open": "while it was opened and run",
    "family": "while the family read the bundle",
}
_CRASHES: Final[dict[int, tuple[Rule, str]]] = {
    signal.SIGSEGV: (Rule.CRASH, "the model crashed the runtime (invalid memory access)"),
    signal.SIGBUS: (Rule.CRASH, "the model crashed the runtime (invalid memory access)"),
    signal.SIGFPE: (Rule.CRASH, "the model crashed the runtime (arithmetic fault)"),
    signal.SIGILL: (Rule.CRASH, "the model crashed the runtime (illegal instruction)"),
    signal.SIGABRT: (Rule.CRASH, "the runtime gave up on the model (aborted)"),
    signal.SIGSYS: (Rule.CRASH, "the model made a forbidden call to the system"),
    signal.SIGXCPU: (Rule.TIME, "the model used up its processor time"),
    signal.SIGKILL: (Rule.MEMORY, "the system ended the examination, most likely for memory"),
}


_PROPORTIONATE: Final = "cpu"
"""The provider whose own needs are known well enough to hold a bundle to its size."""


Word = Annotated[str, Field(max_length=64, pattern=r"^[ -~]*$")]
"""Of a child: fit for any log, page and database."""
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class _Verdict(BaseModel):
    """The child's word, taken as input from a stranger."""

    model_config = ConfigDict(extra="forbid", strict=True)

    runtime: Word
    nodes: dict[Word, Count] = Field(max_length=32)
    peak_bytes: Count
    run_us: Count


class SandboxExaminer:
    """Examiner of one provider in one environment.

    `timeout_s` is wall time for everything and the most processor time. `memory_mb` is the most
    address space, of which the interpreter and its libraries take about 250 MB. A small bundle gets
    less of both (`proportion`), the smallest `least_cpu_s` of processor time. `python` is the
    interpreter of the environment that the bundle is meant for.
    """

    def __init__(
        self,
        timeout_s: float = 30.0,
        memory_mb: int = 3072,
        python: str = sys.executable,
        provider: str = "cpu",
        least_cpu_s: float = LEAST_CPU_S,
    ) -> None:
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._python = python
        self._provider = provider
        self._least_cpu_s = least_cpu_s

    def examine(self, directory: Path, manifest: Manifest) -> Examination:
        """Never raises for what the bundle does; the reason of a refusal says what it did.

        Raises SandboxUnavailable where the child could not prove that it is confined: the bundle
        was not opened.
        """
        return self.look(directory, manifest)[0]

    def look(
        self,
        directory: Path,
        manifest: Manifest,
        options: Mapping[str, Any] | None = None,
        **more: object,
    ) -> tuple[Examination, tuple[Mapping[str, Any], ...]]:
        """As `examine`, with all that the child said. `options` are the provider's; `more` goes to
        the child."""
        directory = directory.resolve()
        allowed = most(self._timeout_s, self._memory_mb)
        if self._provider == _PROPORTIONATE:
            allowed = allowance(directory, manifest, allowed, self._least_cpu_s)
        admission = admitted(needs_in(self._python, self._provider, options))
        request = {
            **more,
            "options": options,
            "admits": admission.asked(),
            "directory": str(directory),
            "manifest": manifest.model_dump(mode="json", by_alias=True),
            "provider": self._provider,
            **asdict(allowed),
        }
        ended = run_child(
            "plaza_accel.examination.child",
            request,
            timeout_s=allowed.wall_seconds,
            busy_s=allowed.busy_seconds,
            python=self._python,
            variables=admission.variables,
        )
        return self._judge(ended, allowed), ended.answers

    def _judge(self, ended: Ended, allowed: Allowance) -> Examination:
        last = ended.answers[-1] if ended.answers else {}
        if isinstance(last.get("unconfined"), str):
            why = printable(last["unconfined"], 200)
            _log.error("no sandbox for an examination: %s", why)
            raise SandboxUnavailable(
                f"this machine cannot confine a model that nobody knows ({why}); "
                "its operator sees with 'plaza doctor' what is missing"
            )
        if "verdict" in last and ended.returncode == 0:
            try:
                return self._passed(_Verdict.model_validate(last["verdict"]))
            except ValidationError:
                text = "the examination gave no readable verdict"
                return self._refused(Refused(Rule.CRASH, text))
        refused = _refusal(ended, allowed)
        _log.info(
            "examination on %s refused a bundle by %s: %s", self._provider, refused.rule, refused
        )
        return self._refused(refused)

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

    def _refused(self, refused: Refused) -> Examination:
        return Examination(
            passed=False,
            reason=str(refused),
            provider=self._provider,
            runtime="",
            nodes={},
            peak_bytes=0,
            run_us=0,
            rule=str(refused.rule),
            node=refused.node,
        )


def _refusal(ended: Ended, allowed: Allowance) -> Refused:
    last = ended.answers[-1] if ended.answers else {}
    phases = [said for one in ended.answers if isinstance(said := one.get("phase"), str)]
    where = _WHERE.get(phases[-1], "") if phases else "before it was read"
    if isinstance(last.get("refused"), str):
        return _said(last)
    if ended.timed_out:
        return Refused(Rule.TIME, f"not finished after {allowed.wall_seconds:g} s, {where}")
    if ended.signal is not None:
        unknown = (Rule.CRASH, f"ended by signal {ended.signal}")
        rule, crash = _CRASHES.get(ended.signal, unknown)
        if ended.signal == signal.SIGXCPU:
            crash += f" ({allowed.cpu_seconds} s for a bundle of its size)"
        return Refused(rule, f"{crash}, {where}")
    return Refused(Rule.CRASH, f"the examination ended without a verdict, {where}")


def _said(answer: Mapping[str, Any]) -> Refused:
    """The child's refusal; its rule and node are taken as input from a stranger."""
    rule, node = answer.get("rule"), answer.get("node")
    known = Rule(rule) if isinstance(rule, str) and rule in set(Rule) else Rule.CRASH
    shown = shown_node(node) if isinstance(node, str) and node else None
    return Refused(known, printable(answer["refused"], 500), shown)
