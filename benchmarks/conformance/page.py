"""The reports of all clients as `docs/conformance.md`."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.conformance.running import Report

HEAD = """# Conformance

Unmodified clients of other people, each in its own environment, against a whole hub: supervisor,
control, HAProxy, a pool on the CPU and, where its environment is made, a second one on OpenVINO.
Written by `make conformance`; a client is one script under `benchmarks/conformance/clients`, which
says what it needs and what it expects. What is installed for it is pinned with hashes in
`locks/conformance`.

There is no official suite for the Open Inference Protocol, so its users are the measure.
"""
_REFUSED = {
    "Triton: shared memory, trace and log settings": "404; a tensor in a region: 400",
    "HTTP: what is no request": "400 by HAProxy 2.8, whose HTML is fixed",
    "HTTP: a head over 64 KiB": "400 by the ingress, without a request id",
    "Triton: examples with sequences, shared memory, names with `_`, pictures, a server `triton`": (
        "not run: each needs what is refused here, or that other name"
    ),
    "Triton: `generate`, for models that write text": "404",
    "Triton: names with underscores (`simple_string`)": "404: names here are of a-z, 0-9 and `-`",
    "Triton: sequences": "400, with the parameter's name",
    "Triton: uploads by `load` (`config`, `file:`)": "422: register a version, then load it",
    "Triton: compressed answers": "sent as they are; bodies of requests may be compressed",
    "OpenAI: token arrays; `dimensions` other than the model's": "422",
    "text-embeddings-inference: pairs of sentences, prompts, tokens": "422",
    "text-embeddings-inference: sparse and unpooled vectors, tokenising": "404",
    "KServe: series of several variables": "422",
}


def page(reports: Sequence[Report]) -> str:
    lines = [HEAD, "| client | what | calls | result |", "|---|---|---|---|"]
    for report in reports:
        good = sum(one.problem is None for one in report.calls)
        about = f"| {report.script.client} | {report.script.about} "
        lines.append(f"{about}| {good} of {len(report.calls)} | {_result(report)} |")
    for report in reports:
        lines += ["", f"## {report.script.client}: {report.script.path.name}", ""]
        if report.skipped:
            lines.append(f"Not run: {report.skipped}.")
        lines += [f"- {one.call}{_said(one.problem)}" for one in report.calls]
    lines += ["", "## What is not offered", "", "| what | the hub's answer |", "|---|---|"]
    lines += [f"| {what} | {answer} |" for what, answer in _REFUSED.items()]
    return "\n".join(lines) + "\n"


def _result(report: Report) -> str:
    if report.skipped:
        return "not run"
    return "passed" if report.passed else "failed"


def _said(problem: str | None) -> str:
    return "" if problem is None else f" — **failed**: `{' '.join(problem.split())[:200]}`"
