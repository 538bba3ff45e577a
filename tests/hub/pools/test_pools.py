"""Pools beside the main one: other accelerators, the same models, by certificates of their own.

Which there are is told in `conftest.py`.
"""

import json
import queue
import subprocess
import sys

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton

import plaza
from tests.hub.pools.conftest import OPENVINO, SHIPPED
from tests.hub.typed import clean_environment
from tests.hub.waiting import until

pytestmark = [
    pytest.mark.hub,
    pytest.mark.skipif(not OPENVINO.exists(), reason="there is no .venv-openvino: make openvino"),
]

EXECUTION = {
    "main": "CPUExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "nxrt": "cpu_ep",
}


def ask(hub, path, body=None):
    """(answer, headers) of the inference door."""
    headers = {"authorization": f"Bearer {hub.admin_key}"}
    with httpx.Client(base_url=hub.url, headers=headers, timeout=20) as client:
        answer = client.get(path) if body is None else client.post(path, json=body)
    if answer.status_code != httpx.codes.OK:
        problem = answer.json()
        raise plaza.PlazaError(problem["code"], problem["error"], status=answer.status_code)
    return answer.json(), answer.headers


def body_for(hub, model):
    """Three rows of random numbers for every input."""
    random = np.random.default_rng(0)
    entries = []
    for spec in hub.admin.metadata(model).inputs:
        shape = [3 if size == -1 else size for size in spec.shape]
        values = random.random(shape, np.float32)
        data = values.ravel().tolist()
        entries.append({"name": spec.name, "datatype": spec.datatype, "shape": shape, "data": data})
    return {"inputs": entries}


def cli(hub, tmp_path, *arguments):
    command = [sys.executable, "-m", "plaza_serving.cli"]
    command += ["--control", hub.control_url, "--key", hub.admin_key, *arguments]
    environment = clean_environment(tmp_path)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def of_pool(hub, model):
    """Pool -> the passed certificate that opens the model there."""
    found = hub.admin.models.certificates(model)
    return {pool["pool"]: (one, pool) for one in found if one.passed for pool in one.pools}


def test_three_pools_answer_equally_each_by_its_own_certificate(hub):
    certified = of_pool(hub, "tiny")
    # `bare` could, were it there.
    assert set(certified) == {"main", "second", "openvino", "nxrt", "bare"}
    body, answers = body_for(hub, "tiny"), {}
    for pool, execution in EXECUTION.items():
        certificate, where = certified[pool]
        answer, headers = until(lambda p=where["path"]: ask(hub, f"{p}/infer", body))
        answers[pool] = np.array(answer["outputs"][0]["data"])
        assert int(headers["x-plaza-charge"]) > 0
        shown = ask(hub, where["path"])[0]["properties"]
        assert shown["provider"] == certificate.provider
        assert shown["placement"].startswith(f"{execution}=")
        assert "," not in shown["placement"]
        assert shown["certificate"] == certificate.environment
    versions = {pool: (c.provider_version, c.runtime) for pool, (c, _) in certified.items()}
    assert len(set(versions.values())) == 3
    assert versions["openvino"][0].startswith("onnxruntime-openvino ")
    assert versions["nxrt"][0].startswith("nxrt-ep-cpu ")
    for pool in ("openvino", "nxrt"):
        parity = certified[pool][0].parity
        difference = np.abs(answers[pool] - answers["main"]).max()
        assert difference <= parity["tolerance"] * np.abs(answers["main"]).max()
    assert of_pool(hub, "tiny")["openvino"][1]["live"]


def test_a_shipped_model_answers_equally_on_openvino(hub):
    certified = of_pool(hub, SHIPPED.name)
    body, answers = body_for(hub, SHIPPED.name), {}
    for pool in ("main", "openvino"):
        answer, _ = until(lambda p=certified[pool][1]["path"]: ask(hub, f"{p}/infer", body))
        answers[pool] = {one["name"]: np.array(one["data"]) for one in answer["outputs"]}
    tolerance = certified["openvino"][0].parity["tolerance"]
    for name, expected in answers["main"].items():
        off = np.abs(answers["openvino"][name] - expected).max()
        assert off <= tolerance * np.abs(expected).max()


def test_what_was_used_is_written_down_with_the_provider_that_ran_it(hub):
    path = of_pool(hub, "tiny")["openvino"][1]["path"]
    until(lambda: ask(hub, f"{path}/infer", body_for(hub, "tiny")))

    def providers():
        rows = hub.admin.usage(by="provider")
        return {row.group["provider"] for row in rows if row.requests} >= {"cpu", "openvino"}

    until(providers, within_s=30)


def test_a_version_is_certified_on_openvino_by_the_command(hub, tmp_path):
    done = cli(hub, tmp_path, "--json", "models", "certify", "tiny@1", "--provider", "openvino")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["passed"], made["provider"]) == (True, "openvino")
    assert made["placement"] == {"OpenVINOExecutionProvider": 1}


@pytest.mark.parametrize(
    ("pool", "model", "sentence"),
    [
        ("openvino", "cpu-only", "its manifest does not name the provider 'openvino'"),
        ("nxrt", "convolution", "7 of 7 would land elsewhere: 2 × Conv"),
    ],
)
def test_a_version_that_may_not_run_on_a_provider_is_refused_there_only(hub, pool, model, sentence):
    certified = of_pool(hub, model)
    body = body_for(hub, model)
    until(lambda: ask(hub, f"{certified['main'][1]['path']}/infer", body))
    with pytest.raises(plaza.PlazaError, match=sentence) as caught:
        ask(hub, f"/pools/{pool}{certified['main'][1]['path']}/infer", body)
    assert caught.value.code == "not_certified"


# ── one address ──────────────────────────────────────────────────────────────────────────────────
DIRECT = "/pools/openvino/v2/models/there"


def raw(hub, method, path, **more):
    headers = {"authorization": f"Bearer {hub.admin_key}", **more.pop("headers", {})}
    return httpx.request(method, hub.url + path, headers=headers, timeout=20, **more)


def test_a_model_of_another_pool_answers_at_the_hubs_one_address(hub):
    body = body_for(hub, "there")
    until(lambda: ask(hub, f"{DIRECT}/infer", body))
    direct = raw(hub, "POST", f"{DIRECT}/infer", json=body)
    answer = until(lambda: ask(hub, "/v2/models/there/infer", body))
    assert answer[0] == direct.json()
    assert answer[1].keys() == direct.headers.keys()
    assert int(answer[1]["x-plaza-charge"]) > 0
    shown = raw(hub, "GET", "/v2/models/there").json()
    assert shown["properties"]["provider"] == "openvino"
    assert shown["properties"]["address"] == DIRECT
    addresses = hub.admin.models.show("there").addresses
    assert {one["pool"]: one["live"] for one in addresses} == {"openvino": True, "bare": False}
    address = addresses[0]
    assert raw(hub, "GET", address["path"]).json()["properties"] == {
        **shown["properties"],
        "address": address["path"],
    }
    assert hub.admin.infer("there", {"x": np.ones((1, 4), np.float32)})
    with pytest.raises(plaza.PlazaError) as caught:
        ask(hub, "/v2/models/there/infer", {"inputs": []})
    assert caught.value.code == "malformed_request"


def test_it_answers_unmodified_grpc_clients_that_know_one_port(hub):
    key = {"authorization": f"Bearer {hub.admin_key}"}
    tensor = triton.InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 4), np.float32))
    with triton.InferenceServerClient(f"127.0.0.1:{hub.environment['PLAZA_GRPC_PORT']}") as client:
        until(lambda: client.is_model_ready("there", headers=key))
        there = client.infer("there", [tensor], headers=key).as_numpy("y")
        here = client.infer("tiny", [tensor], headers=key).as_numpy("y")
        assert np.allclose(there, here, rtol=1e-3)
        answers = queue.Queue()
        client.start_stream(lambda result, error: answers.put((result, error)), headers=key)
        for number, model in enumerate(["there", "tiny"] * 10):
            client.async_stream_infer(model, [tensor], request_id=str(number))
        found = [answers.get(timeout=20) for _ in range(20)]
        client.stop_stream()
    assert [error.message() for _, error in found if error] == []
    assert [result.get_response().id for result, _ in found] == [str(n) for n in range(20)]


def test_a_forwarded_request_is_charged_once_and_where_it_ran(hub):
    """The main pool writes usage in order: what it might have charged would be there before the
    last request."""
    hub.admin.orgs.create("forwarded")
    client = hub.client(hub.admin.keys.create("forwarded", role="consumer").key)
    x = {"x": np.ones((1, 4), np.float32)}
    until(lambda: client.infer("there", x))
    charges = [client.infer("there", x).cost.charge for _ in range(10)]
    until(lambda: client.infer("tiny", x))

    def used():
        rows = hub.admin.usage(by="provider", organisation="forwarded")
        return {row.group["provider"]: row.requests for row in rows}

    until(lambda: used().keys() == {"cpu", "openvino"}, within_s=30)
    until(lambda: used()["openvino"] >= 11, within_s=30)
    assert used() == {"cpu": 1, "openvino": 11}
    assert all(charges)


@pytest.mark.parametrize("path", ["/pools/npu", "/pools/npu/v2", "/pools/npu/v2/models/tiny"])
def test_a_pool_that_no_node_can_place_is_unavailable_not_unknown(hub, path):
    answer = raw(hub, "GET", path)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_an_absent_npu_is_named_wherever_it_is_asked_for(hub, tmp_path):
    missing = "no Ascend NPU is on this node"
    done = cli(hub, tmp_path, "models", "certify", "tiny@1", "--provider", "cann")
    assert (done.returncode, missing in done.stderr) == (1, True), done.stderr
    unknown = cli(hub, tmp_path, "models", "certify", "tiny@1", "--provider", "cuda")
    assert (unknown.returncode, "no pool of this hub has 'cuda'" in unknown.stderr) == (1, True)
    said = {pool["name"]: pool["why"] for pool in hub.admin.status().pools}
    assert said["npu"].startswith("no replica is placed yet: each takes NPU 1 of a node")
    assert missing in said["npu"]
    assert "has no OpenVINOExecutionProvider: make one with" in said["bare"]
    assert [said[pool] for pool in EXECUTION] == [None, None, None]
    table = cli(hub, tmp_path, "status").stdout
    assert "pool 'npu' does not serve: no replica is placed yet" in table
    doctor = subprocess.run(
        [sys.executable, "-m", "plaza_serving.cli", "doctor", "--json"],
        env=hub.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = {one["check"]: one for one in json.loads(doctor.stdout)}
    assert (found["pool npu"]["verdict"], missing in found["pool npu"]["detail"]) == ("bad", True)
    assert found["pool openvino"]["verdict"] == "ok"


def test_a_pool_that_cannot_run_says_so_once_and_is_not_started_over_and_over(hub):
    """Its one replica stays, answers 503, and the pools beside it never notice."""
    before = replicas_of(hub)
    with pytest.raises(plaza.PlazaError, match="cannot run on its node") as caught:
        ask(hub, "/pools/bare/v2/models/tiny")
    assert caught.value.code == "provider_unavailable"
    log = (hub.state_dir / "logs" / "control.log").read_text()
    assert log.count("pool 'bare' cannot run") == 1
    assert before["bare"] == replicas_of(hub)["bare"]
    assert "npu" not in before


def replicas_of(hub):
    """Pool -> process id of its replica, as Ray names them."""
    titles = {process.pid: " ".join(process.cmdline()) for process in hub.descendants()}
    replicas = {p: t.split(":") for p, t in titles.items() if t.startswith("ray::ServeReplica:")}
    return {title[3]: pid for pid, title in replicas.items()}


def test_a_pool_runs_on_its_own_interpreter(hub):
    found = replicas_of(hub)
    own = {int(line) for line in hub.started.read_text().split()}
    assert found["nxrt"] in own
    assert found["main"] not in own


def test_a_pool_that_is_not_there_says_so(hub):
    headers = {"authorization": f"Bearer {hub.admin_key}"}
    answer = httpx.get(f"{hub.url}/pools/third/v2", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "pool_not_found")
