"""A second pool beside the main one: the same model, the same answers, by its own certificate.

The second pool's interpreter is another one (a virtual environment over the same packages), so
that Ray starts it the way it starts the environment of another accelerator.
"""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

import plaza
from benchmarks import graphs
from benchmarks.hub import running_hub
from tests.hub.waiting import until

pytestmark = pytest.mark.hub

X = np.arange(8, dtype=np.float32).reshape(2, 4)


def another_interpreter(directory: Path, started: Path) -> Path:
    """A virtual environment that sees the packages of this one and has none of its own; each of
    its processes writes its id into `started`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    (site,) = directory.glob("lib/python3.*/site-packages")
    paths = [path for path in sys.path if path.endswith("site-packages")]
    note = f"import os; open({str(started)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
    (site / "beside.pth").write_text("".join(f"{path}\n" for path in paths) + note)
    return directory / "bin" / "python"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    place = tmp_path_factory.mktemp("pools")
    started = place / "started"
    python = another_interpreter(place / "environment", started)
    pools = [{"name": "second", "provider": "cpu", "environment": str(python), "cpus": 0.1}]
    with running_hub(place / "state", pools=json.dumps(pools)) as running:
        running.started = started
        until(lambda: _live(running, "second"), within_s=90)
        running.admin.models.register(graphs.tiny().write(place / "tiny"), visibility="public")
        yield running


def _live(hub, pool):
    found = hub.admin.status().replicas
    return any(one["pool"] == pool and one["live"] for one in found)


def ask(hub, path, body=None):
    headers = {"authorization": f"Bearer {hub.admin_key}"}
    with httpx.Client(base_url=hub.url, headers=headers, timeout=20) as client:
        answer = client.get(path) if body is None else client.post(path, json=body)
    if answer.status_code != httpx.codes.OK:
        raise plaza.PlazaError("refused", answer.text, status=answer.status_code)
    return answer.json()


def test_both_pools_answer_equally_and_show_where_they_run(hub):
    certificates = hub.admin.models.certificates("tiny")
    (one,) = certificates
    assert one.passed
    assert {pool["pool"] for pool in one.pools} == {"main", "second"}
    body = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 4], "data": X.ravel().tolist()}]
    }
    answers, shown = {}, {}
    for pool in one.pools:
        answer = until(lambda p=pool: ask(hub, f"{p['path']}/infer", body))
        answers[pool["pool"]] = answer["outputs"][0]["data"]
        shown[pool["pool"]] = ask(hub, pool["path"])["properties"]
    assert answers["main"] == answers["second"]
    for properties in shown.values():
        assert properties["provider"] == "cpu"
        assert properties["placement"] == "CPUExecutionProvider=1"
        assert properties["certificate"] == one.environment
    live = hub.admin.models.certificates("tiny")[0].pools
    assert all(pool["live"] for pool in live)


def test_the_second_pool_runs_on_its_own_interpreter(hub):
    titles = {process.pid: " ".join(process.cmdline()) for process in hub.descendants()}
    pools = {
        title.split(":")[3]: pid
        for pid, title in titles.items()
        if title.startswith("ray::ServeReplica:")
    }
    assert set(pools) == {"main", "second"}
    own = {int(line) for line in hub.started.read_text().split()}
    assert pools["second"] in own
    assert pools["main"] not in own


def test_a_pool_that_is_not_there_says_so(hub):
    headers = {"authorization": f"Bearer {hub.admin_key}"}
    answer = httpx.get(f"{hub.url}/pools/third/v2", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "pool_not_found")
