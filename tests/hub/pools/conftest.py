"""One hub with pools beside the main one, for the stories of pools and those of gRPC (Ray Serve's
own gRPC would need to be told which of several pools is meant).

`second` runs what the main pool runs, at an address of its own. The others are there where an
environment of OpenVINO is: `openvino` runs another wheel of ONNX Runtime in it, `nxrt` a library
that a package from outside brings, `npu` asks for a device that is not here, and `bare` for a
provider that its environment does not have.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from benchmarks import graphs
from benchmarks.hub import hub_on
from benchmarks.ports import own_ports
from plaza_accel.providers.overlay import make_overlay, packages_of
from plaza_core.tensors import DType
from tests.hub.conftest import AT_ONCE
from tests.hub.waiting import until

ROOT = Path(__file__).parents[3]
OPENVINO = Path(os.environ.get("PLAZA_OPENVINO", ROOT / ".venv-openvino")) / "bin" / "python"
EXAMPLE = ROOT / "examples" / "provider-package"
SHIPPED = ROOT / "models" / "bundles" / "traffic-speed-quantiles"


def with_the_example(directory):
    """An environment over this one with the example package in it. Its processes write their ids
    into `started`."""
    python = make_overlay(directory, "--no-build-isolation", str(EXAMPLE))
    note = f"import os; open({str(directory / 'started')!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
    (packages_of(directory) / "noted.pth").write_text(note)
    return python


def others(place):
    if not OPENVINO.exists():
        return []
    nxrt = with_the_example(place / "nxrt")
    return [
        {"name": "openvino", "provider": "openvino", "environment": str(OPENVINO)},
        {"name": "nxrt", "provider": "nxrt", "environment": str(nxrt)},
        {"name": "npu", "provider": "cann"},
        {"name": "bare", "provider": "openvino"},
    ]


@pytest.fixture(scope="package")
def ports():
    with own_ports() as block:
        yield block


@pytest.fixture(scope="package")
def hub(tmp_path_factory, ports):
    place = tmp_path_factory.mktemp("pools")
    own = ports.spare[0]
    beside = others(place)
    pools = [{"name": "second", "grpc_port": own, "cpus": 0.1}, *beside]
    # Rates are divided among all replicas after the traffic, so that the least part of an idle
    # pool is a twentieth here: of the usual burst that is ten requests.
    limits = {"max_body_mb": 4, "rate_per_second": 2_000, "rate_burst": 4_000}
    with hub_on(ports, place / "state", pools=json.dumps(pools), **limits) as running:
        running.grpc = f"127.0.0.1:{running.environment['PLAZA_GRPC_PORT']}"
        running.second = f"127.0.0.1:{own}"
        running.started = place / "nxrt" / "started"
        serve = {"second", "openvino", "nxrt"} & {pool["name"] for pool in pools}
        until(lambda: serve <= live(running), within_s=90)
        models = [
            bundle(place, "tiny", graphs.tiny()),
            bundle(place, "slow", graphs.conv(size=64, layers=24)),
            bundle(place, "texts", graphs.identity(DType.BYTES)),
        ]
        if beside:
            models += [
                bundle(place, "cpu-only", graphs.tiny(), providers=["cpu"]),
                bundle(place, "there", graphs.tiny(), providers=["openvino"]),
                bundle(place, "convolution", graphs.conv(layers=2)),
                SHIPPED,
            ]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(partial(running.admin.models.register, visibility="public"), models))
        until(lambda: running.admin.metadata("texts"))
        yield running


def bundle(place, name, graph, **more):
    graph.manifest.update(name=name, **more)
    return graph.write(place / name)


def live(hub):
    return {one["pool"] for one in hub.admin.status().replicas if one["live"]}
