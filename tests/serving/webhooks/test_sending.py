"""One attempt against a real server: what it carries, and where it can never go."""

import asyncio
import socket
import threading
import time

import pytest
import standardwebhooks

from plaza_core.clock import SystemClock
from plaza_core.ids import OrganisationId
from plaza_core.testing import FakeClock
from plaza_core.webhooks import HostPattern, Message
from plaza_serving.webhooks.sending import Sender
from plaza_serving.webhooks.signing import signature
from tests.serving.webhooks.receiver import contexts, receiving, reply

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"type":"webhook.test"}'
CLOCK = FakeClock()


def message(url):
    return Message(OrganisationId("org_1"), "whk_1", 1, "msg_1", url, BODY, (SECRET,), 0, 0)


class Names:
    """A name server that gives the next of its answers each time."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def __call__(self, host, port):
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def sender(*patterns, clock=CLOCK, **options):
    async def listed():
        return [HostPattern.parse(p, private=private) for p, private in patterns]

    return Sender(listed, clock, **options)


async def try_it(url, *patterns, **options):
    return await sender(*patterns, **options).send(message(url))


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def here(receiver):
    """The receiver's pattern, as an operator allows a host inside."""
    return (f"127.0.0.1:{receiver.port}", True)


async def test_what_arrives_is_signed_and_whole(receiver, here):
    url = f"http://127.0.0.1:{receiver.port}/in?token=x"
    attempt = await try_it(url, here)
    assert (attempt.delivered, attempt.error) == (True, None)
    (heard,) = receiver.heard
    assert (heard.path, heard.body) == ("/in?token=x", BODY.encode())
    now = CLOCK.unix_us() // 1_000_000
    assert heard.headers["webhook-timestamp"] == str(now)
    assert heard.headers["webhook-signature"] == signature(SECRET, "msg_1", now, BODY.encode())
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["host"] == f"127.0.0.1:{receiver.port}"


async def test_the_published_library_verifies_what_arrived(receiver, here):
    await try_it(f"http://127.0.0.1:{receiver.port}/", here, clock=SystemClock())
    (heard,) = receiver.heard
    assert standardwebhooks.Webhook(SECRET).verify(heard.body, heard.headers) == {
        "type": "webhook.test"
    }


@pytest.mark.parametrize(
    ("status", "delivered", "gone"),
    [(200, True, False), (204, True, False), (400, False, False), (410, False, True),
     (500, False, False), (503, False, False)],
)  # fmt: skip
async def test_only_a_2xx_is_a_delivery(receiver, here, status, delivered, gone):
    receiver.answer = status
    attempt = await try_it(f"http://127.0.0.1:{receiver.port}/", here)
    assert (attempt.delivered, attempt.gone) == (delivered, gone)
    assert delivered or str(status) in attempt.error


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(receiver, here, status):
    with receiving() as canary:
        receiver.answer = lambda handler, _: reply(
            handler, status, location=f"http://127.0.0.1:{canary.port}/secret"
        )
        allowed_too = (f"127.0.0.1:{canary.port}", True)
        attempt = await try_it(f"http://127.0.0.1:{receiver.port}/", here, allowed_too)
        assert not attempt.delivered
        assert "redirect" in attempt.error
        assert canary.connections == 0


async def test_a_slow_receiver_is_left(receiver, here):
    left = threading.Event()
    receiver.answer = lambda handler, _: left.wait(60)
    url = f"http://127.0.0.1:{receiver.port}/"
    attempt = await try_it(url, here, timeout_s=0.2)
    left.set()
    assert attempt.error == "no answer within 0.2 s"


async def test_a_trickle_is_left_too(receiver, here):
    def trickle(handler, _):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(20):
            handler.wfile.write(b"x: y\r\n")
            handler.wfile.flush()
            time.sleep(0.05)

    receiver.answer = trickle
    attempt = await try_it(f"http://127.0.0.1:{receiver.port}/", here, timeout_s=0.3)
    assert attempt.error == "no answer within 0.3 s"


async def test_of_a_long_answer_a_kilobyte_is_read(receiver, here):
    sent = []

    def endless(handler, _):
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(4096):
                handler.wfile.write(b"x" * 65_536)
                sent.append(65_536)
        except OSError:
            sent.append(0)

    receiver.answer = endless
    started = time.monotonic()
    assert (await try_it(f"http://127.0.0.1:{receiver.port}/", here)).delivered
    assert time.monotonic() - started < 30
    while not sent or sent[-1]:
        await asyncio.sleep(0.01)
    assert sum(sent) < 64 << 20, "what the sockets held, not what it had"


async def test_nobody_there_is_a_failure_and_no_more():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        attempt = await try_it(f"http://127.0.0.1:{port}/", (f"127.0.0.1:{port}", True))
    assert attempt.error == "no connection: ConnectError"


# ── where it can never go ────────────────────────────────────────────────────────────────────────
TRICKS = [
    "https://127.0.0.1:{port}/", "https://127.1:{port}/", "https://2130706433:{port}/",
    "https://0x7f.1:{port}/", "https://0177.0.0.1:{port}/", "https://localhost:{port}/",
    "https://0.0.0.0:{port}/", "https://0:{port}/", "https://[::1]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/", "https://[::ffff:7f00:1]:{port}/",
    "https://169.254.169.254:{port}/latest/meta-data/", "https://[fd00:ec2::254]:{port}/",
    "http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://hooks.test:{port}/",
    "file:///etc/passwd", "gopher://127.0.0.1:{port}/", "data:text/plain,x",
    "https://user@127.0.0.1:{port}/", "https://hooks.test:{port}@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}\\@hooks.test/", "https://hooks.test:{port}/",
    "https://127。0。0。1:{port}/", "https://hooks.test.:{port}/", "//127.0.0.1:{port}/",
]  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("listed", ["named", "any"])
async def test_no_spelling_reaches_inside(receiver, trick, listed):
    """Even where an operator allowed exactly this name, or all names of a domain, as outside."""
    url = trick.format(port=receiver.port)
    names = ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", "127.0.0.1", "0.0.0.0",
             "0", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "[fd00:ec2::254]",
             "hooks.test"] if listed == "named" else ["*.example.org"]  # fmt: skip
    patterns = [(f"{name}:*", False) for name in names]
    known = {"hooks.test": ["127.0.0.1"]}

    async def resolve(host, port):
        if host in known:
            return known[host]
        loop = asyncio.get_running_loop()
        return [a[4][0] for a in await loop.getaddrinfo(host, port)]

    attempt = await try_it(url, *patterns, resolve=resolve)
    assert not attempt.delivered
    assert attempt.error.startswith("refused here")
    assert receiver.connections == 0


async def test_one_address_inside_among_others_is_enough_to_refuse(receiver):
    names = Names(["93.184.216.34", "127.0.0.1"])
    url = f"https://hooks.test:{receiver.port}/"
    attempt = await try_it(url, ("hooks.test:*", False), resolve=names)
    assert attempt.error == "refused here: the host leads to an address inside"
    assert receiver.connections == 0


async def test_a_name_that_changes_its_mind_is_asked_once_and_that_answer_used(receiver):
    """Rebinding: a second look-up would lead elsewhere; there is none."""
    names = Names(["127.0.0.1"], ["203.0.113.1"])
    url = f"http://hooks.test:{receiver.port}/in"
    attempt = await try_it(url, (f"hooks.test:{receiver.port}", True), resolve=names)
    assert attempt.delivered
    assert names.asked == [("hooks.test", receiver.port)]
    assert receiver.heard[0].headers["host"] == f"hooks.test:{receiver.port}"


async def test_a_name_that_turns_inward_between_attempts_is_refused_then(receiver):
    names = Names(["127.0.0.1"])
    courier = sender((f"hooks.test:{receiver.port}", False), resolve=names)
    attempt = await courier.send(message(f"https://hooks.test:{receiver.port}/"))
    assert attempt.error.startswith("refused here")
    assert receiver.connections == 0


async def test_a_host_that_is_taken_off_the_list_is_not_used_any_more(receiver, here):
    patterns = [HostPattern(*here)]

    async def listed():
        return list(patterns)

    courier = Sender(listed, CLOCK)
    url = f"http://127.0.0.1:{receiver.port}/"
    assert (await courier.send(message(url))).delivered
    patterns.clear()
    refused = await courier.send(message(url))
    assert refused.error == "refused here: no operator of this hub allows this host"
    assert receiver.connections == 1


@pytest.mark.parametrize("failure", [OSError("no such name"), TimeoutError(), []])
async def test_a_name_that_leads_nowhere_is_a_failure(failure):
    attempt = await try_it("https://hooks.test/", ("hooks.test", False), resolve=Names(failure))
    assert not attempt.delivered


async def test_the_environments_proxy_is_not_used(receiver, here, monkeypatch):
    with receiving() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await try_it(f"http://127.0.0.1:{receiver.port}/", here)).delivered
        assert proxy.connections == 0


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────
async def test_tls_verifies_the_name_though_the_socket_goes_to_an_address(tmp_path):
    server, client = contexts(tmp_path, "hooks.test")
    with receiving(server) as receiver:
        allowed = (f"hooks.test:{receiver.port}", True)
        url = f"https://hooks.test:{receiver.port}/in"
        names = Names(["127.0.0.1"])
        assert (await try_it(url, allowed, resolve=names, tls=client)).delivered
        assert receiver.heard[0].headers["host"] == f"hooks.test:{receiver.port}"
        stranger = await try_it(url, allowed, resolve=names)
        assert stranger.error == "no connection: ConnectError", "nobody vouches for it"


async def test_a_certificate_for_another_name_is_refused(tmp_path):
    server, client = contexts(tmp_path, "other.test")
    with receiving(server) as receiver:
        url = f"https://hooks.test:{receiver.port}/"
        allowed = (f"hooks.test:{receiver.port}", True)
        attempt = await try_it(url, allowed, resolve=Names(["127.0.0.1"]), tls=client)
        assert attempt.error == "no connection: ConnectError"
        assert receiver.heard == []
