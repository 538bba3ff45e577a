"""A library beside ONNX Runtime: what is missing is said, and a bad one harms nobody."""

from __future__ import annotations

import sys
import types
from typing import ClassVar

import pytest

from benchmarks import graphs
from plaza_accel.contract.provider import AcceleratorOptions, AcceleratorProvider
from plaza_accel.providers import cpu
from plaza_accel.providers.plugin import PluginProvider
from plaza_core.errors import ProviderUnavailable


class Example(PluginProvider[AcceleratorOptions]):
    name: ClassVar[str] = "example"
    execution: ClassVar[str] = "ExampleExecutionProvider"
    distribution: ClassVar[str] = "example-ep"
    module: ClassVar[str] = "example_ep"


example = Example(AcceleratorOptions())


@pytest.fixture
def package(monkeypatch):
    """package(path) -> a module that offers this file as its library."""

    def offer(path):
        module = types.ModuleType("example_ep")
        module.get_library_path = lambda: str(path)
        monkeypatch.setitem(sys.modules, "example_ep", module)

    return offer


def test_it_satisfies_the_contract_before_it_is_installed():
    assert isinstance(example, AcceleratorProvider)
    assert example.probe().reason == (
        "install 'example-ep' into this environment, beside onnxruntime"
    )


def test_a_package_without_a_library_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "example_ep", types.ModuleType("example_ep"))
    assert example.probe().reason == "'example-ep' brings no library for this machine"


def test_a_file_that_is_no_library_is_explained_without_native_text(package, tmp_path, bundle):
    (tmp_path / "library.so").write_bytes(b"not a library")
    package(tmp_path / "library.so")
    for _ in range(2):  # a failed registration is not taken for one that was done
        probe = example.probe()
        assert not probe.usable
        assert probe.reason.startswith("'example-ep' cannot be loaded by onnxruntime 1.")
        assert str(tmp_path) not in probe.reason
    with pytest.raises(ProviderUnavailable, match="cannot be loaded"):
        example.open(*bundle(graphs.tiny()))
    assert cpu.provider.open(*bundle(graphs.tiny())).placement == {"CPUExecutionProvider": 1}


def test_a_library_that_offers_no_device_says_what_to_look_at(package):
    """As Intel's does on other makers' processors."""
    nxrt = pytest.importorskip("nxrt_ep_cpu")
    package(nxrt.get_library_path())
    assert example.probe().reason.startswith("example-ep is loaded and offers no device here: ")


def test_versions_of_what_is_not_installed_are_refused():
    with pytest.raises(ProviderUnavailable, match="'example-ep' is not installed"):
        example.versions()
