"""What a provider states that it needs is what its sandbox lets through, and no neighbour of it.

No device is at hand: /dev/zero stands for one, folders and variables of the test for a toolkit's.
"""

from __future__ import annotations

import importlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import graphs
from plaza_accel.contract.needs import Admission, Needs, admitted
from plaza_accel.contract.provider import needs_of
from plaza_accel.examination.certifier import Place, SandboxCertifier
from plaza_accel.examination.interpreter import needs_in
from plaza_accel.providers import cann, cpu, cuda, openvino, tensorrt
from plaza_core.clock import SystemClock
from plaza_core.errors import SandboxUnavailable
from plaza_core.ids import Digest
from tests.accel.sandbox.test_sandbox import needs_sandbox


def install(site, **told):
    """Into this folder, as pip would: the provider of `needy.py` and what it is told."""
    (site / "needy-1.dist-info").mkdir(parents=True, exist_ok=True)
    (site / "needy-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: needy\n")
    (site / "needy-1.dist-info/entry_points.txt").write_text(
        "[plaza.accelerators]\nneedy = needy:provider\n"
    )
    lines = [f"{name} = {value!r}" for name, value in told.items()]
    (site / "needy_told.py").write_text("\n".join(lines))


@pytest.fixture
def needy(tmp_path, monkeypatch):
    """needy(needs) -> the certificate of a harmless bundle on a provider with these needs, and what
    the provider could reach in the child that made it."""
    for folder in ("tree/deep", "home", "neighbour", "site"):
        (tmp_path / folder).mkdir(parents=True)
    paths = {name: tmp_path / name / "data" for name in ("tree", "home", "neighbour")}
    paths["tree"] = tmp_path / "tree/deep/data"
    for path in paths.values():
        path.write_bytes(b"data")
    paths["link"] = tmp_path / "tree/link"
    paths["link"].symlink_to(paths["neighbour"])
    monkeypatch.setenv("NEEDY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NEEDY_WANTED", "1")
    monkeypatch.setenv("NEEDY_NEIGHBOUR", "1")
    site = tmp_path / "site"
    install(site)
    here = str(Path(__file__).parent)
    kept = [str(site), here, os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, kept)))
    monkeypatch.syspath_prepend(here)
    monkeypatch.syspath_prepend(str(site))

    def certify(**needs):
        tries = {name: str(path) for name, path in paths.items()}
        install(site, NEEDS=needs, PATHS=tries, DEVICES=["zero", "full", "null"])
        for module in ("needy", "needy_told"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        importlib.invalidate_caches()
        graph = graphs.tiny()
        certifier = SandboxCertifier([Place("needy")], SystemClock(), timeout_s=30, memory_mb=3072)
        made = certifier.certify(
            graph.write(tmp_path / "bundle"), graph.parsed(), Digest("a" * 64), "needy"
        )
        assert made.key.provider_version, made.reason
        return made, json.loads(made.key.provider_version)

    yield certify
    for module in ("needy", "needy_told"):
        sys.modules.pop(module, None)


@needs_sandbox
def test_what_is_needed_is_reached_and_no_neighbour_of_it(needy, tmp_path):
    certificate, found = needy(
        readable=(str(tmp_path / "tree"), "/nowhere/at-all"),
        devices=("/dev/zer[o]", "/dev/no-such-device*"),
        variables=("NEEDY_WANTED", "NEEDY_ABSENT"),
        homes=("NEEDY_HOME",),
        limit_addresses=False,
    )
    assert certificate.passed, certificate.reason
    assert found == {
        "read tree": "done",
        "read home": "done",
        "use zero": "done",
        "command zero": "ENOTTY",  # said by its driver; a command that is denied ends in EACCES
        "reserve": "done",
        "NEEDY_HOME": "seen",
        "NEEDY_WANTED": "seen",
    }


@needs_sandbox
def test_a_provider_that_states_nothing_reaches_nothing(needy):
    certificate, found = needy()
    assert certificate.passed, certificate.reason
    assert found == {}


def test_all_that_it_tries_can_be_done_where_nothing_is_denied(needy):
    """The control: tried in this process, which is no child of anybody's."""
    needy()
    found = sys.modules["needy"].tried()
    assert found.pop("connect") == "ECONNREFUSED"
    assert {how for what, how in found.items() if what.startswith("command")} == {"ENOTTY"}
    assert found.pop("write link") == "done"
    assert [
        f"{what}: {how}" for what, how in found.items() if how in {"EACCES", "EPERM", "ENOMEM"}
    ] == []


@needs_sandbox
def test_needs_that_would_undo_the_sandbox_open_no_model(needy):
    """The child's own proof tries /etc/passwd, and writes to /dev/null."""
    for needs in ({"readable": ("/etc/passwd",)}, {"devices": ("/dev/null",)}):
        with pytest.raises(SandboxUnavailable, match="files outside can still be reached"):
            needy(**needs)


@needs_sandbox
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device files")
def test_root_without_its_powers_opens_a_device_by_the_devices_own_group(tmp_path):
    """As Ascend's are: of a user and a group of their own, closed to others."""
    ours, others = tmp_path / "ours", tmp_path / "others"
    for device, group in ((ours, 4321), (others, 4322)):
        try:
            os.mknod(device, stat.S_IFCHR | 0o660, os.makedev(1, 5))
            os.chown(device, 4321, group)
            device.chmod(0o660)
            os.close(os.open(device, os.O_RDWR))
        except OSError as error:
            pytest.skip(f"no device files here: {error}")
    script = """
import os, sys
from pathlib import Path
from plaza_accel.sandbox.confinement import Confinement, enter
ours, others = map(Path, sys.argv[1:])
enter(Confinement((), 1 << 32, 10, devices=(ours,)))
os.close(os.open(ours, os.O_RDWR))
try: os.open(others, os.O_RDWR)
except PermissionError: print(os.getgroups())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, ours, others], capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == "[4321]"


def test_only_what_exists_is_admitted_and_a_link_is_no_device(tmp_path):
    needs = Needs(
        readable=(str(tmp_path), "/nowhere/at-all"),
        devices=("/dev/zero", "/dev/fd", "/dev/shm", "/dev/stdin", "/dev/none"),
        variables=("LANG", "ABSENT"),
        homes=("HOME_OF_IT", "RELATIVE", "ROOT", "GONE"),
    )
    homes = {"HOME_OF_IT": "/usr/lib", "RELATIVE": "lib", "ROOT": "/", "GONE": "/nowhere/else"}
    assert admitted(needs, {"LANG": "C", "OTHER": "x", **homes}) == Admission(
        readable=(str(tmp_path), "/usr/lib"),
        devices=("/dev/zero",),
        variables={"LANG": "C", **homes},
    )
    assert admitted(Needs()) == Admission()


@pytest.mark.parametrize(
    "wrong",
    [
        {"readable": ("usr/lib",)}, {"readable": ("/",)}, {"readable": ("/etc",)},
        {"readable": ("/usr/../etc",)}, {"devices": ("/etc/passwd",)}, {"devices": ("dev/zero",)},
        {"devices": ("/dev/../etc/*",)}, {"devices": ("/dev/**",)}, {"variables": ("lower",)},
        {"variables": ("PLAZA_API_KEY",)}, {"variables": ("LD_PRELOAD",)}, {"homes": ("A=B",)},
        {"variables": ("AWS_ACCESS_KEY_ID",)}, {"variables": ("MY_SECRET_WORD",)},
    ],
)  # fmt: skip
def test_what_is_too_wide_cannot_be_stated(wrong):
    with pytest.raises(ValueError, match=r"is not a"):
        Needs(**wrong)


def test_built_in_providers_name_their_makers_devices():
    assert cpu.provider.needs == openvino.provider.needs == Needs()
    assert "/dev/nvidia-uvm" in cuda.provider.needs.devices
    assert set(cuda.provider.needs.devices) <= set(tensorrt.provider.needs.devices)
    assert "/dev/davinci[0-9]*" in cann.provider.needs.devices
    on_gpu = needs_of("openvino", {"device_type": "GPU"})
    assert on_gpu.devices == ("/dev/dri/renderD*",)
    assert needs_of("openvino", {"device_type": "NPU"}).devices == ("/dev/accel/accel[0-9]*",)


def test_needs_are_told_without_importing_a_runtime():
    """Control asks for pools of other environments."""
    script = (
        "import sys; from plaza_accel.contract.provider import needs_of; "
        "names = ('cpu', 'cuda', 'tensorrt', 'cann', 'openvino'); "
        "print(sum(bool(needs_of(n).devices) for n in names), 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == [b"3", b"False"]


def test_of_a_provider_that_is_not_here_or_options_it_does_not_take_nothing_is_admitted():
    assert needs_of("nonesuch") == Needs()
    assert needs_of("cuda", {"no_such_option": 1}) == Needs()


def test_a_provider_of_another_environment_only_is_asked_there(tmp_path):
    """Here there is no 'needy'; the other interpreter has it, and says what it was told."""
    site = tmp_path / "site"
    install(site, NEEDS={"devices": ("/dev/zero",), "limit_addresses": False})
    other = tmp_path / "python"
    paths = os.pathsep.join([str(site), str(Path(__file__).parent), *filter(None, sys.path)])
    other.write_text(f"#!/bin/sh\nPYTHONPATH='{paths}' exec '{sys.executable}' \"$@\"\n")
    other.chmod(0o755)
    assert needs_in(str(other), "needy") == Needs(devices=("/dev/zero",), limit_addresses=False)
    assert needs_in(str(other), "nonesuch") == Needs()
    assert needs_in(str(tmp_path / "gone"), "needy") == Needs()


@pytest.mark.parametrize("said", ["", "noise", "[]", '{"readable": ["/"]}', '{"devices": 1}'])
def test_an_interpreter_that_says_nothing_sensible_is_given_nothing(tmp_path, said):
    other = tmp_path / "python"
    other.write_text(f"#!/bin/sh\necho '{said}'\n")
    other.chmod(0o755)
    assert needs_in(str(other), "needy") == Needs()
