"""The launcher corrects what Ray writes, and HAProxy accepts the result."""

import contextlib
import json
import socket
import subprocess
import threading
import time

import jsonschema
import pytest

from benchmarks.ports import own_ports
from plaza_serving.doors.openapi import document
from plaza_serving.supervisor import ingress

PRIVATE = (9101, 8404)
WRITTEN_BY_RAY = """global
    log stderr format raw local0 info
    stats socket {home}/admin.sock mode 666 level admin expose-fd listeners
    maxconn 256
defaults
    mode http
    option log-health-checks
    timeout connect 5s
    timeout client 75s
    timeout server 300s
    errorfile 502 {home}/500.http
    errorfile 503 {home}/500.http
    errorfile 504 {home}/500.http
frontend prometheus
    bind :9101
    http-request use-service prometheus-exporter if {{ path /metrics }}
frontend http_frontend
    bind *:8000
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path \\'%[path]\\' not found."
backend http-npu
    server SERVE_PROXY_ACTOR-fallback-8f 127.0.0.1:10007 check backup
backend http-main
    server SERVE_REPLICA_main-replica-a6 127.0.0.1:10100 check
    server SERVE_PROXY_ACTOR-fallback-8f 127.0.0.1:10007 check backup
backend http-second
    server SERVE_PROXY_ACTOR-fallback-8f 127.0.0.1:10007 check backup
listen stats
  bind *:8404
  stats enable
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "500.http").write_bytes(b"HTTP/1.1 500 Internal Server Error\r\n\r\n")
    path = tmp_path / "haproxy.cfg"
    path.write_text(WRITTEN_BY_RAY.format(home=tmp_path))
    return path


@contextlib.contextmanager
def line(tmp_path, config, *changes):
    """A connection to a HAProxy that runs the corrected file, with `changes` of its text."""
    launcher = ingress.install(tmp_path, ingress.haproxy_binary(), PRIVATE)
    subprocess.run([launcher, "-c", "-f", config], capture_output=True, check=True)
    with own_ports() as ports:
        at = ports.settings
        front, statistics = at["http_port"], at["haproxy_stats_port"]
        metrics = at["haproxy_metrics_port"]
        written = config.read_text()
        for before, after in changes:
            assert before in written
            written = written.replace(before, after)
        written = written.replace("*:8000", f"127.0.0.1:{front}")
        written = written.replace(":8404", f":{statistics}").replace(":9101", f":{metrics}")
        config.write_text(written)
        with subprocess.Popen([ingress.haproxy_binary(), "-db", "-f", config]) as haproxy:
            try:
                with _connected(front) as connection:
                    yield connection
            finally:
                haproxy.terminate()


@pytest.fixture
def slow_line(tmp_path, config):
    """As above; it waits a tenth of a second for a request."""
    patience = ("timeout http-request 10s", "timeout http-request 100ms")
    with line(tmp_path, config, patience) as connection:
        yield connection


@pytest.fixture
def replica():
    """Answers one request with what is in its `answer`."""

    class Replica:
        answer = b""

        def __init__(self):
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.address = "127.0.0.1:{1}".format(*self.listener.getsockname())

        def serve(self):
            caller, _ = self.listener.accept()
            with caller:
                caller.recv(65536)
                caller.sendall(self.answer)

    made = Replica()
    with made.listener:
        yield made


def _connected(port):
    give_up = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def test_haproxy_accepts_the_corrected_configuration(tmp_path, config):
    launcher = ingress.install(tmp_path, ingress.haproxy_binary(), PRIVATE)
    checked = subprocess.run(
        [launcher, "-c", "-f", config], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_every_correction_is_made(tmp_path, config):
    launcher = ingress.install(tmp_path, ingress.haproxy_binary(), PRIVATE)
    subprocess.run([launcher, "-c", "-f", config], capture_output=True, check=True)
    lines = [line.strip() for line in config.read_text().splitlines()]
    assert "bind 127.0.0.1:9101" in lines
    assert "bind 127.0.0.1:8404" in lines
    assert "bind *:8000" in lines  # public: where the operator said
    assert f"stats socket {tmp_path}/admin.sock mode 600 level admin expose-fd listeners" in lines
    assert "log stderr format raw local0 warning" in lines
    assert "timeout http-request 10s" in lines
    assert "option http-buffer-request" in lines
    assert "http-request return status 503 default-errorfiles" in lines
    pages = [line for line in lines if line.startswith("errorfile ")]
    assert pages == [
        f"errorfile {status} {tmp_path}/{status}.http" for status in (400, 408, 500, 502, 503, 504)
    ]


def test_only_the_main_pool_waits_for_its_replica_to_come_back(tmp_path, config):
    launcher = ingress.install(tmp_path, ingress.haproxy_binary(), PRIVATE)
    subprocess.run([launcher, "-c", "-f", config], capture_output=True, check=True)
    below = {}
    for line in config.read_text().splitlines():
        if not line.startswith(" "):
            below[section := line] = []
        else:
            below[section].append(line.split()[1])
    assert below["backend http-npu"] == below["backend http-second"] == []
    assert below["backend http-main"] == [
        "SERVE_REPLICA_main-replica-a6",
        "SERVE_PROXY_ACTOR-fallback-8f",
    ]


def test_half_a_request_is_told_that_it_took_too_long(slow_line):
    slow_line.sendall(b"POST / HTTP/1.1\r\nhost: hub\r\ncontent-length: 10\r\n\r\n12")
    head, _, body = slow_line.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["code"] == "deadline_exceeded"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "text/plain; charset=utf-8", "malformed_request"),
        (500, "text/plain; charset=utf-8", "internal"),
        (400, "application/json", "of the door"),
        (500, "application/json", "of the door"),
        (404, "text/plain", None),
    ],
)
def test_what_a_replicas_http_server_says_in_plain_words_is_said_in_the_standard_shape(
    tmp_path, config, replica, status, kind, code
):
    body = b'{"code": "of the door"}' if kind == "application/json" else b"Invalid HTTP request."
    head = f"HTTP/1.1 {status} Bad Request\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}"
    replica.answer = head.encode() + b"\r\nconnection: close\r\n\r\n" + body
    to_it = (
        ("default_backend default_backend", "default_backend http-main"),
        ("127.0.0.1:10100 check", replica.address),
    )
    serving = threading.Thread(target=replica.serve)
    serving.start()
    with line(tmp_path, config, *to_it) as connection:
        connection.sendall(b"get / HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n")
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    serving.join()
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"application/json" in head) is (code is not None)
    assert code is None or json.loads(body)["code"] == code


def test_a_connection_opened_ahead_is_closed_without_a_word(slow_line):
    """An answer to no request would be taken for that of the next one."""
    assert slow_line.recv(1) == b""


def test_the_arguments_reach_haproxy_unchanged(tmp_path, config):
    launcher = ingress.install(tmp_path, "/bin/echo", PRIVATE)
    arguments = ["-db", "-f", str(config), "-sf", "12", "-x", "a b"]
    said = subprocess.run([launcher, *arguments], capture_output=True, text=True, check=True).stdout
    assert said.strip() == " ".join(arguments)


def test_a_second_start_of_the_same_file_changes_nothing_more(tmp_path, config):
    launcher = ingress.install(tmp_path, "/bin/true", PRIVATE)
    subprocess.run([launcher, "-f", config], check=True)
    once = config.read_text()
    subprocess.run([launcher, "-f", config], check=True)
    assert config.read_text() == once


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "malformed_request"),
        (500, "internal"),
        (502, "unavailable"),
        (503, "unavailable"),
        (504, "deadline_exceeded"),
    ],
)
def test_error_pages_are_whole_responses_in_the_standard_shape(status, code):
    head, _, body = ingress.page(status).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].startswith(f"HTTP/1.1 {status} ")
    assert f"content-length: {len(body)}" in lines
    assert json.loads(body)["code"] == code
    assert any(line.startswith("retry-after:") for line in lines) is (status == 503)
    jsonschema.validate(json.loads(body), document()["components"]["schemas"]["Error"])
