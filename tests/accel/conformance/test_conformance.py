"""The built-in providers under the examination that every provider takes.

Those whose device is not on this machine are examined in what they declare, and must say in words
what is missing; where the device is, the whole examination runs.
"""

from __future__ import annotations

import pytest

from plaza_accel.conformance import ProviderConformance, ProviderDeclarations
from plaza_accel.contract.provider import select
from plaza_accel.providers import cann, cpu, cuda, openvino, tensorrt, testing
from plaza_core.errors import ProviderUnavailable

BUILT_IN = (cpu.provider, openvino.provider, cuda.provider, tensorrt.provider, cann.provider)
ABSENT = [provider for provider in BUILT_IN if not provider.probe().usable]


def as_far_as_possible(provider):
    return ProviderDeclarations if provider in ABSENT else ProviderConformance


class TestCpu(ProviderConformance):
    provider = cpu.provider
    is_cpu = True


class TestTwin(ProviderConformance):
    provider = testing.provider
    is_cpu = True


class TestOpenvino(as_far_as_possible(openvino.provider)):
    provider = openvino.provider


class TestCuda(as_far_as_possible(cuda.provider)):
    provider = cuda.provider


class TestTensorrt(as_far_as_possible(tensorrt.provider)):
    provider = tensorrt.provider


class TestCann(as_far_as_possible(cann.provider)):
    provider = cann.provider


@pytest.mark.parametrize("provider", ABSENT, ids=lambda p: p.name)
def test_who_asks_for_an_absent_device_is_told_what_to_do(provider):
    with pytest.raises(ProviderUnavailable) as caught:
        select(provider.name)
    said = caught.value.message
    assert said.startswith(f"'{provider.name}' cannot be used here: ")
    assert any(verb in said for verb in ("install", "run it on", "make one", "look at"))
