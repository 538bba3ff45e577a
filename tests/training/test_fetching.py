"""Downloads against a real https server on loopback that breaks off, lies and is away."""

import datetime
import hashlib
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from plaza_core.errors import InvalidInput
from plaza_training.data import DataSet, Fetcher, SourceFile, locate
from plaza_training.data.errors import DataChanged, DataUnreachable
from plaza_training.progress import Silent

CONTENT = bytes(range(256)) * 1024  # 262,144 bytes: four steps


class Site(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; the server's `faults` says what goes wrong, once each."""

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        fault = self.server.faults.pop(0) if self.server.faults else None
        if fault == "away":
            self.send_error(404)
            return
        if fault == "plain":
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/")
            self.end_headers()
            return
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        body = CONTENT[first:] + (b"more" if fault == "long" else b"")
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: 100_000 if fault == "break" else None])

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    """A certificate for 127.0.0.1, made for this run."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("identity")
    file = folder / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def site(identity):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.faults, server.asked = [], []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fetcher(identity):
    return Fetcher(ssl.create_default_context(cafile=identity))


@pytest.fixture
def published(site):
    url = f"https://localhost:{site.server_port}/a.bin"
    file = SourceFile("a.bin", hashlib.sha256(CONTENT).hexdigest(), url, len(CONTENT))
    return DataSet("toy", "Toy", "CC0-1.0", "https://example.org", "nobody", (file,))


class Counting(Silent):
    def __init__(self):
        self.seen = []

    def track(self, steps, what, total):
        for step in steps:
            self.seen.append(step)
            yield step
        assert len(self.seen) == total


def test_a_file_arrives_in_steps_that_progress_sees(tmp_path, published, fetcher, site):
    progress = Counting()
    folder = locate(published, tmp_path, fetch=fetcher, progress=progress)
    assert (folder / "a.bin").read_bytes() == CONTENT
    assert sum(progress.seen) == len(CONTENT)
    assert [path.name for path in folder.iterdir()] == ["a.bin"]


def test_a_transfer_that_breaks_off_goes_on_from_its_last_byte(tmp_path, published, fetcher, site):
    site.faults = ["break"]
    folder = locate(published, tmp_path, fetch=fetcher)
    assert (folder / "a.bin").read_bytes() == CONTENT
    assert site.asked[0] is None
    assert int(site.asked[1].removeprefix("bytes=").removesuffix("-")) > 0


def test_what_had_arrived_is_kept_for_the_next_attempt(tmp_path, published, fetcher, site):
    site.faults = ["break"]
    with pytest.raises(DataUnreachable, match="after 1 attempts"):
        locate(published, tmp_path, fetch=Fetcher(fetcher.context, attempts=1))
    had = (tmp_path / "toy/a.bin.part").stat().st_size
    assert 0 < had <= 100_000
    assert not (tmp_path / "toy/a.bin").exists()
    locate(published, tmp_path, fetch=fetcher)
    assert site.asked[-1] == f"bytes={had}-"


def test_more_than_was_announced_is_refused_without_reading_on(tmp_path, published, fetcher, site):
    site.faults = ["long"]
    with pytest.raises(DataChanged, match="more than the 262,144 bytes"):
        locate(published, tmp_path, fetch=fetcher)
    assert list((tmp_path / "toy").iterdir()) == []


def test_a_refusal_is_final_and_names_the_status(tmp_path, published, fetcher, site):
    site.faults = ["away", "away"]
    with pytest.raises(DataUnreachable, match="404"):
        locate(published, tmp_path, fetch=fetcher)
    assert len(site.asked) == 1


def test_a_server_of_another_authority_is_not_believed(tmp_path, published):
    with pytest.raises(DataUnreachable):
        locate(published, tmp_path, fetch=Fetcher(ssl.create_default_context(), attempts=1))


def test_only_https_is_fetched_also_after_being_sent_on(tmp_path, published, fetcher, site):
    for url in ("http://localhost/a", "file:///etc/hostname"):
        with pytest.raises(InvalidInput, match="https only"):
            list(fetcher(SourceFile("x", "", url), tmp_path / "x"))
    site.faults = ["plain"]
    with pytest.raises(InvalidInput, match="https only"):
        locate(published, tmp_path, fetch=fetcher)
    assert len(site.asked) == 1
    assert not (tmp_path / "toy/a.bin").exists()
