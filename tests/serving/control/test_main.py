"""The real process: quick to start, light, alone in its directory, and quick to stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx

from plaza_core.keys import NewKey
from plaza_serving.control.main import ADMIN_KEY_FILE, keep_admin_key

HEAVY = ("mlflow", "onnx", "onnxruntime", "matplotlib", "ray", "torch", "pandas")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def control(state, **more):
    """A control process on a port of its own; Ray's dashboard is nowhere."""
    port = free_port()
    environment = {
        **os.environ,
        "PLAZA_STATE_DIR": str(state),
        "PLAZA_CONTROL_PORT": str(port),
        "PLAZA_DASHBOARD_PORT": str(free_port()),
        **more,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "plaza_serving.control"],
        env=environment,
        cwd=state,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
    reader.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield process, client, lines
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        process.stderr.close()


def ready(process, client):
    while process.poll() is None:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)  # a process that starts has nothing to wait on but its port
    raise AssertionError(f"control ended with {process.returncode}")


@contextmanager
def waiting_poll(port, token, version):
    """A long poll for the table, sent and not yet answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        request = (
            "GET /internal/v1/table?wait=50 HTTP/1.1",
            "host: control",
            f"authorization: Bearer {token}",
            f'if-none-match: "{version}"',
            "\r\n",
        )
        connection.sendall("\r\n".join(request).encode())
        yield connection


def test_it_starts_serves_its_admin_and_stops_at_sigterm(tmp_path):
    with control(tmp_path) as (process, client, lines):
        ready(process, client)
        key = (tmp_path / ADMIN_KEY_FILE).read_text().strip()
        client.headers["authorization"] = f"Bearer {key}"
        assert client.get("/api/v1/whoami").json()["operator"] is True
        status = client.get("/api/v1/status").json()
        assert status["ray"]["reachable"] is False
        assert status["pools"][0]["status"] == "absent"

        token = (tmp_path / "secrets" / "node.token").read_text()
        with waiting_poll(client.base_url.port, token, status["table_version"]) as poll:
            client.get("/healthz")  # behind the poll: once it is answered, the poll is waiting
            client.get("/healthz")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
            assert poll.recv(65_536).startswith(b"HTTP/1.1 304")

    assert all(json.loads(line) for line in lines)
    assert key not in "".join(lines)
    assert token not in "".join(lines)


def test_a_second_start_finds_everything_and_a_kill_loses_nothing(tmp_path):
    with control(tmp_path) as (process, client, _):
        ready(process, client)
        key = (tmp_path / ADMIN_KEY_FILE).read_text().strip()
        client.headers["authorization"] = f"Bearer {key}"
        assert client.post("/api/v1/organisations", json={"name": "acme"}).status_code == 201
        process.kill()
    with control(tmp_path) as (process, client, _):
        ready(process, client)
        assert (tmp_path / ADMIN_KEY_FILE).read_text().strip() == key
        client.headers["authorization"] = f"Bearer {key}"
        assert client.get("/api/v1/organisations/acme").status_code == 200


def test_two_do_not_work_in_one_directory(tmp_path):
    with control(tmp_path) as (first, client, _):
        ready(first, client)
        with control(tmp_path) as (second, _, _):
            assert second.wait(timeout=60) != 0


def test_starting_imports_nothing_heavy():
    script = f"""
import sys
import plaza_serving.control.main
print([m for m in {HEAVY!r} if m in sys.modules])
"""
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_the_admin_key_is_for_the_owner_of_the_machine_alone(tmp_path):
    keep_admin_key(tmp_path, NewKey("id", "plz_text", "mac"))
    path = tmp_path / ADMIN_KEY_FILE
    assert path.read_text() == "plz_text\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [ADMIN_KEY_FILE]


def test_an_admin_key_that_was_not_made_anew_is_left_alone(tmp_path):
    keep_admin_key(tmp_path, None)
    assert not list(tmp_path.iterdir())
