"""Trying again: what both clients wait for, what they send a second time, and what they never do.

Time is a number that sleeping moves.
"""

import inspect
import re

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import plaza
from plaza._again import Safe, Tries
from tests.client.both import Blocking, Time

X = {"x": np.zeros((1, 2), np.float32)}
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
ORG = {"id": "org_1", "name": "acme", "title": "", "suspended": False, "rate": None}


@pytest.fixture
def client(request, connect, time):
    """A function that makes a client whose network is a list of answers; `client.seen` has the
    requests. An answer is a response, or an exception to raise."""
    kind = request.node.callspec.params["connect"]
    seen = []

    def make(*answers, cost_s=0.0, **options):
        upcoming = iter(answers)

        def handle(sent):
            seen.append(sent)
            time.now += cost_s
            answer = next(upcoming)
            if isinstance(answer, type):
                raise answer("lost", request=sent)
            return answer

        return connect(
            api_key="plz_test",
            transport=httpx.MockTransport(handle),
            pace=time.pace(kind),
            **options,
        )

    make.seen = seen
    return make


def refusal(status=503, code="unavailable", after="1"):
    headers = {} if after is None else {"retry-after": after}
    body = {"error": "not now", "code": code, "input": None, "request_id": "r"}
    return httpx.Response(status, json=body, headers=headers)


def good(**body):
    return httpx.Response(200, json=body)


ORGS = {"items": []}
INFERRED = {
    "model_name": "cars",
    "model_version": "3",
    "outputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [7]}],
}
WHO = {"key": "k", "organisation": "o", "role": "admin"}


def names(seen):
    return [sent.headers.get("idempotency-key") for sent in seen]


class TestRefusals:
    @pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (503, "unavailable")])
    def test_a_read_comes_back_when_it_was_told_to(self, client, time, status, code):
        hub = client(refusal(status, code, "2"), refusal(status, code, "3"), good(**ORGS))
        assert hub.orgs.list() == []
        assert time.slept == [2, 3]
        assert names(client.seen) == [None] * 3

    def test_a_write_comes_back_under_the_name_it_came_with(self, client, time):
        hub = client(refusal(), refusal(), httpx.Response(204))
        hub.keys.revoke("acme", "k1")
        first, *others = names(client.seen)
        assert UUID.fullmatch(first)
        assert others == [first, first]

    def test_two_writes_have_two_names(self, client):
        hub = client(httpx.Response(204), httpx.Response(204))
        hub.keys.revoke("acme", "k1")
        hub.keys.revoke("acme", "k1")
        assert len(set(names(client.seen))) == 2

    def test_when_the_patience_is_spent_the_hub_has_the_last_word(self, client, time):
        hub = client(*[refusal(429, "rate_limited", "4")] * 9, patience_s=10)
        with pytest.raises(plaza.PlazaError) as caught:
            hub.orgs.list()
        assert (caught.value.code, caught.value.status) == ("rate_limited", 429)
        assert caught.value.retry_after == 4
        assert time.slept == [4, 4]

    def test_what_takes_longer_than_the_patience_is_not_waited_for(self, client, time):
        hub = client(refusal(429, "quota_exceeded", "3600"))
        with pytest.raises(plaza.PlazaError, match="quota_exceeded"):
            hub.orgs.list()
        assert time.slept == []

    def test_the_time_that_answers_take_counts(self, client, time):
        hub = client(*[refusal(after="1")] * 9, cost_s=8)
        with pytest.raises(plaza.PlazaError, match="unavailable"):
            hub.orgs.list()
        assert len(client.seen) == 4  # at 8, 17, 26 and 35 s of 30

    @pytest.mark.parametrize("after", [None, "soon", "nan", "inf", "-1", ""])
    def test_who_is_not_told_when_does_not_come_back(self, client, time, after):
        with pytest.raises(plaza.PlazaError, match="unavailable"):
            client(refusal(after=after)).orgs.list()
        assert time.slept == []

    @pytest.mark.parametrize(
        ("status", "code"),
        [(404, "not_found"), (409, "conflict"), (500, "internal"), (504, "deadline_exceeded")],
    )
    def test_other_refusals_are_final_even_with_a_time(self, client, time, status, code):
        with pytest.raises(plaza.PlazaError, match=code):
            client(refusal(status, code)).orgs.list()
        assert time.slept == []

    def test_no_patience_no_second_try_and_no_name(self, client, time):
        hub = client(refusal(), httpx.ConnectError, httpx.Response(204), patience_s=0)
        for code in ("unavailable", "unreachable"):
            with pytest.raises(plaza.PlazaError, match=code):
                hub.keys.revoke("acme", "k1")
        hub.keys.revoke("acme", "k1")
        assert names(client.seen) == [None] * 3
        assert time.slept == []

    def test_those_refused_together_come_back_apart_and_never_early(self, client, time):
        time.chance = 0.8
        client(refusal(after="10"), good(**ORGS)).orgs.list()
        assert time.slept == [pytest.approx(12)]

    def test_the_first_try_still_running_is_waited_for(self, client, time):
        running = refusal(409, "idempotency_in_progress", "1")
        hub = client(httpx.ReadError, running, running, httpx.Response(204))
        hub.keys.revoke("acme", "k1")
        assert len(set(names(client.seen))) == 1
        assert time.slept[1:] == [1, 1]


class TestInference:
    def test_it_is_refused_at_once_and_has_no_name(self, client, time):
        hub = client(refusal(429, "rate_limited"))
        with pytest.raises(plaza.PlazaError, match="rate_limited"):
            hub.infer("cars", X)
        assert (names(client.seen), time.slept) == ([None], [])

    def test_a_stated_patience_is_also_for_inference(self, client, time):
        hub = client(refusal(), good(**INFERRED), patience_s=5)
        assert hub.infer("cars", X).version == 3
        assert (names(client.seen), time.slept) == ([None, None], [1])

    @pytest.mark.parametrize("lost", [httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError])
    def test_what_may_have_been_computed_is_not_sent_again(self, client, lost):
        with pytest.raises(plaza.Unreachable):
            client(lost, patience_s=5).infer("cars", X)
        assert len(client.seen) == 1

    def test_without_a_connection_nothing_was_sent(self, client):
        assert client(httpx.ConnectError, good(**INFERRED)).infer("cars", X).version == 3
        assert names(client.seen) == [None, None]

    @pytest.mark.parametrize("way", ["retry_writes", "once"])
    def test_with_a_name_it_is_treated_like_the_rest(self, client, time, way):
        answers = (httpx.ReadError, refusal(), good(**INFERRED), good(**INFERRED))
        hub = client(*answers, retry_writes=way == "retry_writes")
        if way == "once":
            hub = done_once(hub)
        assert hub.infer("cars", X).version == 3
        assert hub.infer("cars", X).version == 3
        first, second, third, other = names(client.seen)
        assert first == second == third != other
        assert UUID.fullmatch(other)


def done_once(hub, *key):
    """`hub.once(*key)`, also of a wrapped client."""
    if isinstance(hub, Blocking):
        return Blocking(hub._target.once(*key), hub._runner)
    return hub.once(*key)


class TestLosses:
    @pytest.mark.parametrize(
        "lost",
        [httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError, httpx.ConnectError],
    )
    def test_a_lost_call_is_sent_once_more(self, client, time, lost):
        assert client(lost, good(**ORGS)).orgs.list() == []
        assert 0 < sum(time.slept) <= 0.5

    def test_a_second_loss_is_final(self, client):
        with pytest.raises(plaza.Unreachable):
            client(*[httpx.ReadError] * 3).orgs.list()
        assert len(client.seen) == 2

    @pytest.mark.parametrize(
        "late", [httpx.ReadTimeout, httpx.ConnectTimeout, httpx.WriteTimeout, httpx.PoolTimeout]
    )
    def test_who_has_waited_does_not_wait_again(self, client, late):
        with pytest.raises(plaza.Unreachable, match="in time"):
            client(late).orgs.list()
        assert len(client.seen) == 1

    def test_a_login_has_no_name_and_is_not_sent_again(self, client):
        with pytest.raises(plaza.Unreachable):
            client(httpx.ReadError).finish_login("code", "verifier")
        assert names(client.seen) == [None]

    def test_a_download_begins_anew(self, client, tmp_path):
        class Breaks(httpx.SyncByteStream, httpx.AsyncByteStream):
            def __iter__(self):
                yield b"half"
                raise httpx.ReadError("gone")

            async def __aiter__(self):
                yield b"half"
                raise httpx.ReadError("gone")

        place = tmp_path / "statement.csv"
        whole = httpx.Response(200, content=b"all of it")
        hub = client(httpx.Response(200, stream=Breaks()), whole)
        hub.ledger.save_statement("acme", "2026-11", place)
        assert place.read_bytes() == b"all of it"
        assert [path.name for path in tmp_path.iterdir()] == ["statement.csv"]


class TestUploads:
    def test_a_file_that_got_lost_is_sent_from_its_beginning(self, client, tmp_path):
        import hashlib

        content = b"x" * 700_000
        (tmp_path / "model.onnx").write_bytes(content)
        stored = {"sha256": hashlib.sha256(content).hexdigest()}
        done = {"model": "m", "name": "n", "version": 1, "digest": "d", "created": True}
        answers = (
            good(upload="up_0"),
            refusal(),
            good(**stored),
            httpx.ReadError,
            good(**done, tracked=True, alias=None, examination={}),
        )
        steps = []
        hub = client(*answers)
        hub.models.register(tmp_path, progress=lambda *step: steps.append(step[1:]))
        begun, first, second, lost, committed = client.seen
        assert first.read() == second.read() == content
        assert max(steps) == (700_000, 700_000)
        assert names([first, second]) == [None, None]
        assert UUID.fullmatch(begun.headers["idempotency-key"])
        assert names([lost]) == names([committed]) != names([begun])

    def test_one_name_of_the_caller_does_not_stand_for_several_requests(self, client, tmp_path):
        (tmp_path / "model.onnx").write_bytes(b"x")
        hub = client(good(upload="up_0"), refusal(500, "internal"), httpx.Response(204))
        twin = done_once(hub, "mine")
        with pytest.raises(plaza.PlazaError, match="internal"):
            twin.models.register(tmp_path)
        assert "mine" not in names(client.seen)


@given(
    waits=st.lists(st.floats(0, 40), max_size=20),
    chance=st.floats(0, 1),
    patience=st.floats(0, 60),
)
def test_no_wait_is_shorter_than_told_and_none_ends_after_the_patience(waits, chance, patience):
    time = Time(chance)
    begin = time.now
    tries = Tries(Safe.SAME, time.pace("sync"), patience_s=patience, once_more=True)
    for told in waits:
        error = plaza.PlazaError("unavailable", "later", status=503, retry_after=told)
        wait = tries.after_refusal(error)
        if wait is None:
            assert told >= begin + patience - time.now
            return
        assert told <= wait
        time.sleep(wait)
        assert time.now <= begin + patience + 1e-9


def test_both_clients_are_made_alike():
    ours = inspect.signature(plaza.Client).parameters
    theirs = inspect.signature(plaza.AsyncClient).parameters
    assert list(ours) == list(theirs)
    assert ours["patience_s"].default is theirs["patience_s"].default is None
