"""A provider is chosen by name, takes only options it knows, and never falls back in silence."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint

import onnxruntime
import pytest

from benchmarks import graphs
from plaza_accel.contract.provider import AcceleratorProvider, Probe, select
from plaza_accel.providers import cpu
from plaza_accel.sessions.options import SessionPlan
from plaza_accel.sessions.session import open_runner
from plaza_core import plugins
from plaza_core.errors import InvalidBundle, InvalidInput, NotFound, ProviderUnavailable
from tests.accel.hostile import corpus, making

CPU = SessionPlan("cpu", ("CPUExecutionProvider",), strict=False)


def test_cpu_is_installed_usable_and_weighs_one():
    provider = select("cpu")
    assert isinstance(provider, AcceleratorProvider)
    assert (provider.name, provider.weight) == ("cpu", 1)
    probe = provider.probe()
    assert probe.usable
    assert probe.devices[0].kind == "cpu"
    assert probe.devices[0].memory_bytes > 0


def test_options_are_checked_because_the_runtime_ignores_unknown_ones():
    assert select("cpu", {"intra_op": 2}).options == cpu.CpuOptions(intra_op=2)
    wrong = ({"intra_ops": 2}, {"intra_op": 0}, {"inter_op": 2})
    for options, name in ((one, next(iter(one))) for one in wrong):
        with pytest.raises(InvalidInput) as caught:
            select("cpu", options)
        assert caught.value.input == name


def test_every_option_is_described():
    for provider in (cpu.provider,):
        assert all(field.description for field in provider.schema.model_fields.values())


def test_an_unknown_name_lists_what_is_installed():
    with pytest.raises(NotFound, match="cpu"):
        select("nonesuch")


@dataclasses.dataclass(frozen=True)
class Absent(cpu.CpuProvider):
    """A provider whose hardware is not here."""

    name = "absent"

    def probe(self):
        return Probe(False, "no device answers on this machine")


absent = Absent()


def test_a_provider_that_cannot_be_used_says_why(monkeypatch):
    points = {
        "absent": EntryPoint("absent", f"{__name__}:absent", plugins.ACCELERATORS),
        "other": EntryPoint("other", "plaza_accel.providers.cpu:provider", plugins.ACCELERATORS),
    }
    monkeypatch.setattr(plugins, "available", lambda group: points)
    monkeypatch.setattr(
        EntryPoint, "load", lambda point: absent if "absent" in point.name else cpu.provider
    )
    with pytest.raises(ProviderUnavailable, match="no device answers"):
        select("absent")
    with pytest.raises(ProviderUnavailable, match="not a provider of that name"):
        select("other")


def test_a_runtime_without_the_execution_provider_is_refused(bundle):
    """By itself ONNX Runtime would warn and run on the CPU."""
    plan = SessionPlan("cann", ("CANNExecutionProvider",))
    with pytest.raises(ProviderUnavailable, match="CANNExecutionProvider"):
        open_runner(*bundle(graphs.tiny()), plan)


def test_nodes_that_would_land_on_the_cpu_are_refused(bundle):
    """Azure's provider is in every wheel, can be asked for, and takes no local node."""
    plan = SessionPlan("azure", ("AzureExecutionProvider",))
    with pytest.raises(ProviderUnavailable, match="1 of 1 would land elsewhere: Gemm"):
        open_runner(*bundle(graphs.tiny()), plan)
    placed = open_runner(*bundle(graphs.tiny()), dataclasses.replace(plan, strict=False)).placement
    assert placed == {"CPUExecutionProvider": 1}


def test_the_expansion_of_functions_is_bounded_in_the_runtime_too(bundle):
    """The examiner refuses such a file before; this is the wall behind it."""
    files = bundle(making.with_functions({"f": ["g"] * 4, "g": ["Relu"] * 4}, "f"))
    assert cpu.provider.open(*files).placement["CPUExecutionProvider"] >= 1
    narrow = {"session.function_expansion_node_limit": "8"}
    with pytest.raises(InvalidBundle, match="cannot open"):
        open_runner(*files, dataclasses.replace(CPU, entries=narrow))


def test_a_vast_constant_is_not_computed_while_the_model_is_loaded(bundle):
    """It is left to the run, where the memory limit of a cell or a sandbox applies."""
    directory, _ = bundle(graphs.tiny())
    (directory / "model.onnx").write_bytes(corpus.CORPUS["vast constant"]().data)
    model = directory / "model.onnx"
    session = onnxruntime.InferenceSession(model, CPU.session_options(), enable_fallback=0)
    assert session.get_inputs()[0].name == "x"
