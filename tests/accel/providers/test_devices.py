"""Hardware is looked for without being opened, and its absence is said in words to act on."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from plaza_accel.contract.provider import Device, RayResource, select
from plaza_accel.providers import cann, cuda, devices, openvino, tensorrt
from plaza_accel.providers.devices import NoDevice
from plaza_core.errors import InvalidInput, ProviderUnavailable

DRIVER = """
#include <stddef.h>
#include <string.h>
int cuInit(unsigned flags) { return STATUS; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuDeviceGet(int *handle, int index) { *handle = index; return 0; }
int cuDeviceGetName(char *name, int size, int handle) {
    strncpy(name, handle ? "Second" : "First", size); return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int handle) { *bytes = 80ul << 30; return 0; }
"""


@pytest.fixture
def driver(tmp_path):
    """driver(count, status) -> a library that answers as NVIDIA's driver does, really loaded."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to build a driver that answers")

    def build(count: int, status: int = 0) -> str:
        source, library = tmp_path / "driver.c", tmp_path / f"driver{count}{status}.so"
        source.write_text(DRIVER, encoding="utf-8")
        values = [f"-DCOUNT={count}", f"-DSTATUS={status}"]
        subprocess.run(
            ["cc", "-shared", "-fPIC", *values, "-o", library, source], check=True, timeout=60
        )
        return str(library)

    return build


def test_gpus_come_with_name_and_memory(driver):
    expected = tuple(Device(name, "gpu", 80 << 30) for name in ("First", "Second"))
    assert devices.nvidia(driver(2)) == expected


@pytest.mark.parametrize(("count", "status"), [(0, 0), (0, 100), (2, 803)])
def test_a_driver_that_shows_no_gpu_is_explained(driver, count, status):
    with pytest.raises(NoDevice, match=f"status {status}.*CUDA_VISIBLE_DEVICES"):
        devices.nvidia(driver(count, status))


def test_a_machine_without_a_driver_is_explained():
    with pytest.raises(NoDevice, match=r"libcuda\.so\.1 is missing.*run it on a node"):
        devices.nvidia("libnosuchdriver.so.1")


def test_npus_are_counted_by_their_device_files(tmp_path):
    for entry in ("davinci10", "davinci2", "davinci_manager", "devmm_svm"):
        (tmp_path / entry).touch()
    assert [d.name for d in devices.ascend(tmp_path)] == ["Ascend NPU 2", "Ascend NPU 10"]


def test_intel_devices_are_counted_by_their_device_files(tmp_path):
    (tmp_path / "dri").mkdir()
    (tmp_path / "dri" / "renderD128").touch()
    (tmp_path / "dri" / "card0").touch()
    assert [d.name for d in devices.intel("gpu", tmp_path)] == ["GPU renderD128"]
    with pytest.raises(NoDevice, match="set device_type to CPU"):
        devices.intel("npu", tmp_path)


def test_asking_for_cann_here_is_refused_with_what_to_do():
    if cann.provider.probe().usable:
        pytest.skip("an Ascend NPU is here")
    with pytest.raises(ProviderUnavailable) as caught:
        select("cann")
    assert caught.value.message == (
        "'cann' cannot be used here: no Ascend NPU is on this node (no /dev/davinci0): run it on a "
        "node that has one, with the Ascend driver, the CANN toolkit and an environment of the "
        "extra 'ort-cann'; in a container, hand the device in"
    )


class Present:
    """A provider whose device is there; what is wrong is the environment."""

    def look(self):
        return (Device("one", "npu"),)


def test_an_environment_of_the_wrong_flavour_is_named():
    class Cann(Present, cann.CannProvider):
        pass

    probe = Cann(cann.CannOptions()).probe()
    assert not probe.usable
    if "CANNExecutionProvider" not in probe.reason:
        pytest.skip("this environment is of that flavour")
    assert "make one with the extra 'ort-cann'" in probe.reason


def test_a_missing_toolkit_is_named():
    """The wheel alone would list its provider and run on the CPU in silence."""

    class Cann(Present, cann.CannProvider):
        execution = "CPUExecutionProvider"  # one that every wheel lists

    probe = Cann(cann.CannOptions()).probe()
    assert not probe.usable
    assert probe.reason.startswith("libascendcl.so cannot be loaded: install the CANN toolkit")


def test_what_a_replica_takes_in_ray_follows_the_options():
    share = {"ray_amount": 0.5}
    assert cuda.provider.with_options(share).resource == RayResource("GPU", 0.5)
    assert tensorrt.provider.resource == RayResource("GPU", 1.0)
    assert cann.provider.resource == RayResource("NPU", 1.0)
    assert openvino.provider.resource is None
    on_npu = openvino.provider.with_options({"device_type": "NPU"})
    assert on_npu.resource == RayResource("intel_npu", 1.0)


def test_options_are_written_as_the_runtime_reads_them():
    gpu = cuda.provider.with_options({"use_tf32": True, "weight": 7, "buckets": {"batch": [1, 4]}})
    assert gpu.weight == 7
    native = gpu.native_options()
    assert native["use_tf32"] == "1"
    assert native["prefer_nhwc"] == "0"
    assert not {"weight", "buckets", "cpu_share", "gpu_mem_limit"} & set(native)
    assert openvino.provider.native_options()["disable_dynamic_shapes"] == "false"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"cpu_share": 1.0}, "cpu_share"),
        ({"ray_amount": 0}, "ray_amount"),
        ({"weight": 0}, "weight"),
        ({"trt_engine_cache_path": "/tmp"}, "trt_engine_cache_path"),
        ({"user_compute_stream": "1"}, "user_compute_stream"),
    ],
)
def test_paths_pointers_and_nonsense_are_no_options(options, name):
    for provider in (cuda.provider, tensorrt.provider, openvino.provider, cann.provider):
        with pytest.raises(InvalidInput) as caught:
            provider.with_options(options)
        assert caught.value.input == name


def test_who_compiles_per_shape_says_so():
    found = {p.name: p.static_shapes for p in (cuda.provider, tensorrt.provider, cann.provider)}
    assert found == {"cuda": False, "tensorrt": True, "cann": True}
    assert not openvino.provider.static_shapes
