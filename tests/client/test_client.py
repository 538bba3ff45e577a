"""Both clients against a hub in miniature, over real sockets: the same story told twice."""

import hashlib
import inspect
import math
import socket
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from starlette.responses import PlainTextResponse

import plaza
from tests.client.hub import error


@pytest.fixture
def hub(connect, arguments):
    return connect(**arguments)


class TestInference:
    def test_tensors_of_all_sorts(self, hub, state):
        sent = {"x": np.arange(6, dtype=np.float32).reshape(3, 2), "t": np.array(["ü", "b"])}
        answer = hub.infer("cars", sent, version="champion", outputs=["echo_x", "echo_t"])
        assert (answer.model, state.seen[-1].path) == (
            "cars",
            "/v2/models/cars/versions/champion/infer",
        )
        np.testing.assert_array_equal(answer["echo_x"], sent["x"])
        assert answer["echo_t"].tolist() == ["ü".encode(), b"b"]
        assert answer["n"].tolist() == [7]

    def test_an_answer_says_what_it_cost(self, hub):
        cost = plaza.Cost(
            charge=18, compute_us=129, host_us=2, batch_rows=4, budget_remaining=17770
        )
        assert hub.infer("cars", {"x": np.zeros(1)}).cost == cost
        assert hub.forecast([1.0], 1, model="cars").cost == plaza.Cost(budget_remaining=None)

    def test_addresses_may_be_in_the_environment(self, connect, arguments, monkeypatch):
        monkeypatch.setenv("PLAZA_URL", arguments["url"])
        monkeypatch.setenv("PLAZA_CONTROL_URL", arguments["control_url"])
        assert connect(api_key=arguments["api_key"]).infer("cars", {"x": np.zeros(1)}).version == 3
        monkeypatch.setenv("PLAZA_URL", "http://127.0.0.1:9")
        assert connect(**arguments).infer("cars", {"x": np.zeros(1)}).version == 3

    def test_the_version_that_answered_is_a_number(self, hub, state):
        assert hub.infer("cars", {"x": np.zeros(1)}).version == 3
        assert state.seen[-1].path == "/v2/models/cars/infer"

    def test_a_name_cannot_reach_another_route(self, hub, state):
        with pytest.raises(plaza.PlazaError):
            hub.infer("../../api/v1/keys?x=", {"x": np.zeros(1)})
        assert hub.infer("acme.main.cars", {"x": np.zeros(1)}).model == "acme.main.cars"

    def test_metadata(self, hub):
        found = hub.metadata("cars")
        assert found.inputs[0] == plaza.Tensor("x", "FP32", (-1, 2))
        assert found.versions == ("1", "3")

    @pytest.mark.parametrize(
        ("image", "kind"),
        [
            (b"\xff\xd8\xff\xe0 jpeg", "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n png", "image/png"),
            (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
            (b"GIF89a", "application/octet-stream"),
        ],
    )
    def test_a_picture_goes_as_it_is(self, hub, state, image, kind):
        found = hub.detect(image, model="cars", threshold=0.25)
        seen = state.seen[-1]
        assert (seen.body, seen.headers["content-type"]) == (image, kind)
        assert seen.query == {"model": ["cars"], "threshold": ["0.25"]}
        assert found.detections == (plaza.Detection("car", 0.9, (1.5, 2.0, 30.0, 40.0)),)
        assert (found.width, found.height, found.version) == (64, 48, 2)
        assert found.timing.total_us == 40

    def test_forecast(self, hub, state):
        found = hub.forecast(np.arange(5), 4, model="load", quantiles=[0.5])
        assert state.seen[-1].json["values"] == [0, 1, 2, 3, 4]
        assert (found.quantiles, found.values.shape) == ((0.5,), (1, 4))
        assert hub.forecast([1.0], 2, model="load").quantiles == (0.1, 0.5, 0.9)
        assert "quantiles" not in state.seen[-1].json

    def test_several_series_are_one_request(self, hub, state):
        found = hub.forecasts([[1, 2], [5, 6]], 3, model="load", known=[[0, 1, 2, 3, 4]])
        assert state.seen[-1].json["series"] == [[1, 2], [5, 6]]
        assert state.seen[-1].json["known"] == [[0, 1, 2, 3, 4]]
        assert found.values.shape == (2, 3, 3)
        assert found.values[1, 1].tolist() == [6.5, 6.5, 6.5]
        assert found.mean.tolist() == [[2, 2, 2], [6, 6, 6]]

    def test_what_was_not_measured_is_null(self, hub, state):
        hub.forecasts([[math.nan, 1.0], [None, 2.0]], 2, model="load", quantiles=[0.5])
        assert state.seen[-1].json["series"] == [[None, 1], [None, 2]]

    def test_no_number_is_not_sent(self, hub, state):
        with pytest.raises(ValueError, match="infinity, or NaN"):
            hub.forecast([1.0, math.inf], 2, model="load")
        with pytest.raises(ValueError, match="infinity, or NaN"):
            hub.forecast([1.0], 2, model="load", quantiles=[math.nan])
        assert state.seen == []

    def test_classify(self, hub):
        found = hub.classify(["one", "two"], model="topics", top_k=2)
        assert [len(labels) for labels in found.results] == [2, 2]
        assert found.results[0][0] == plaza.Label("l0", 0.5)
        assert len(hub.classify("one text", model="topics").results) == 1

    def test_embed(self, hub):
        found = hub.embed(["a", "bcd"], model="words")
        assert found.vectors.dtype == np.float32
        assert found.vectors.tolist() == [[1.0, 1.0], [1.0, 3.0]]
        assert found.tokens == 9


class TestTheOnlyModel:
    def test_is_asked_where_none_is_named(self, hub, state, tmp_path):
        levels = [plaza.WarningLevel("high", 9)]
        asked = {
            hub.detect(b"GIF89a").model: "acme.main.cars",
            hub.forecast([1.0], 2).model: "load",
            hub.forecasts([[1.0]], 2).model: "load",
            hub.classify("text").model: "topics",
            hub.embed("text").model: "words",
        }
        assert list(asked) == list(asked.values())
        hub.table("warn", "load\n1\n", levels=levels)
        assert "model" not in state.seen[-1].query

    def test_takes_no_request_of_its_own(self, hub, state):
        hub.classify("text", model="topics")
        hub.classify("text")
        assert [seen.path for seen in state.seen] == ["/v1/text/classify"] * 2
        assert [seen.json.get("model") for seen in state.seen] == ["topics", None]

    def test_of_several_none_is_guessed(self, hub, state):
        state.models["tones"] = "text.classify"
        with pytest.raises(plaza.PlazaError, match="there are several: tones, topics") as caught:
            hub.classify("text")
        assert (caught.value.code, caught.value.input) == ("invalid_input", "model")
        assert hub.only("text.embed") == "words"
        with pytest.raises(plaza.PlazaError, match="there is none"):
            hub.only("video.count")


class TestRefusals:
    def test_a_wrong_key(self, connect, arguments):
        stranger = connect(**arguments | {"api_key": "plz_other"})
        for verb in (lambda: stranger.infer("cars", {"x": np.zeros(1)}), stranger.whoami):
            with pytest.raises(plaza.PlazaError) as caught:
                verb()
            assert (caught.value.code, caught.value.status) == ("unauthenticated", 401)

    def test_the_protocols_shape(self, hub, state):
        state.refuse["POST /v2/models/cars/infer"] = error(
            429, "rate_limited", "too many", input="key", retry_after=2
        )
        with pytest.raises(plaza.PlazaError) as caught:
            hub.infer("cars", {"x": np.zeros(1)})
        found = caught.value
        assert (found.code, found.status, found.message) == ("rate_limited", 429, "too many")
        assert (found.input, found.request_id, found.retry_after) == ("key", "req-1", 2.0)
        assert str(found) == "rate_limited: too many (key)"

    def test_the_shape_everywhere_else(self, connect, arguments, state):
        hub = connect(**arguments, patience_s=0)
        state.refuse["GET /api/v1/models/cars"] = error(
            503, "unavailable", "the database is away", retry_after=1.5
        )
        with pytest.raises(plaza.PlazaError) as caught:
            hub.models.show("cars")
        found = caught.value
        assert (found.code, found.request_id, found.retry_after) == ("unavailable", "req-1", 1.5)

    def test_a_load_balancers_page(self, hub, state):
        page = PlainTextResponse("<html>503</html>", 503, {"retry-after": "3"})
        state.refuse["POST /v1/forecast"] = page
        with pytest.raises(plaza.PlazaError) as caught:
            hub.forecast([1.0], 1, model="load")
        assert (caught.value.code, caught.value.retry_after) == ("http_503", 3.0)

    @pytest.mark.parametrize("body", ["not json", "{}", "[]", '{"model": "x"}'])
    def test_an_answer_from_something_else(self, hub, state, body):
        state.refuse["POST /v1/forecast"] = PlainTextResponse(body)
        with pytest.raises(plaza.PlazaError) as caught:
            hub.forecast([1.0], 1, model="load")
        assert caught.value.code == "unexpected_answer"

    def test_nobody_there(self, connect):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
            with pytest.raises(plaza.Unreachable) as caught:
                connect(url=nowhere).forecast([1.0], 1, model="load")
        assert (caught.value.code, caught.value.status) == ("unreachable", None)

    def test_nobody_answers(self, connect):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            address = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(plaza.Unreachable, match="in time"):
                connect(url=address, timeout=0.05).forecast([1.0], 1, model="load")


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "samples").mkdir()
    (tmp_path / "model.onnx").write_bytes(bytes(range(256)) * 4096)
    (tmp_path / "plaza.yaml").write_text("schema: 1\n")
    (tmp_path / "samples/one.json").write_text("[1]")
    (tmp_path / ".cache").write_text("not part of it")
    return tmp_path


class TestRegistration:
    def test_files_are_streamed_and_committed(self, hub, state, bundle):
        steps = []
        done = hub.models.register(
            bundle, name="cars", visibility="public", organisation="acme",
            progress=lambda *step: steps.append(step),
        )  # fmt: skip
        assert (done.name, done.version, done.created, done.tracked) == ("cars", 1, True, True)
        assert state.seen[-1].json == {"name": "cars", "visibility": "public"}
        assert {tuple(seen.query["organisation"]) for seen in state.seen} == {("acme",)}
        size = (bundle / "model.onnx").stat().st_size
        model_steps = [
            sent for path, sent, total in steps if path == "model.onnx" and total == size
        ]
        assert model_steps == sorted(model_steps)
        assert (len(model_steps), model_steps[-1]) == (4, size)
        assert {path for path, _, _ in steps} == {"model.onnx", "plaza.yaml", "samples/one.json"}

    def test_the_bytes_arrive_as_they_are(self, hub, state, bundle):
        state.refuse["POST /api/v1/uploads/up_0/commit"] = error(503, "unavailable", "later")
        state.refuse["DELETE /api/v1/uploads/up_0"] = error(503, "unavailable", "later")
        with pytest.raises(plaza.PlazaError) as caught:
            hub.models.register(bundle)
        assert caught.value.message == "later"
        kept = state.uploads["up_0"]
        assert (
            kept["model.onnx"] == hashlib.sha256((bundle / "model.onnx").read_bytes()).hexdigest()
        )
        assert sorted(kept) == ["model.onnx", "plaza.yaml", "samples/one.json"]

    def test_the_same_again(self, hub, bundle):
        first = hub.models.register(bundle)
        again = hub.models.register(bundle)
        assert (again.version, again.digest, again.created) == (1, first.digest, False)

    def test_a_refused_file_aborts_the_upload(self, hub, state, bundle):
        state.refuse["samples/one.json"] = error(
            422, "invalid_bundle", "no", input="samples/one.json"
        )
        with pytest.raises(plaza.PlazaError) as caught:
            hub.models.register(bundle)
        assert (caught.value.code, caught.value.input) == ("invalid_bundle", "samples/one.json")
        assert state.last("DELETE").path == "/api/v1/uploads/up_0"
        assert state.uploads == {}

    def test_a_file_that_did_not_arrive_as_it_was_sent_aborts_the_upload(self, hub, state, bundle):
        state.spoil.add("plaza.yaml")
        with pytest.raises(plaza.PlazaError) as caught:
            hub.models.register(bundle)
        assert (caught.value.code, caught.value.input) == ("damaged_upload", "plaza.yaml")
        assert (state.uploads, state.versions) == ({}, [])
        state.spoil.clear()
        assert hub.models.register(bundle).version == 1

    def test_no_directory(self, hub, state, tmp_path):
        with pytest.raises(FileNotFoundError):
            hub.models.register(tmp_path / "absent")
        assert state.seen == []


class TestAdministration:
    def test_models(self, hub, state):
        (model,) = hub.models.list()
        assert model == hub.models.show("cars")
        assert (model.full_name, model.aliases) == ("acme.main.cars", {"champion": 1})
        assert hub.models.versions("cars")[0].family == "vision.detect"
        moved = hub.models.promote("cars", 2)
        assert (moved.alias, moved.version, moved.waiting_for) == ("champion", 2, ["r-2"])
        assert state.seen[-1].json == {"version": 2}

    def test_organisations(self, hub, state):
        assert hub.whoami().operator
        assert hub.orgs.create("newcomer", title="New").name == "newcomer"
        assert state.seen[-1].json == {"name": "newcomer", "title": "New"}
        assert hub.orgs.list()[0] == hub.orgs.show("acme")
        assert hub.orgs.suspend("acme").suspended
        assert not hub.orgs.resume("acme").suspended
        limited = hub.orgs.limit("acme", per_second=5, burst=9)
        assert limited.rate == {"per_second": 5, "burst": 9}

    def test_projects_and_keys(self, hub, state):
        assert hub.projects.create("acme", "cameras").name == "cameras"
        assert hub.projects.list("acme")[0].organisation_name == "acme"
        key = hub.keys.create("acme", role="consumer", label="gate 7", rate=(5, 10))
        assert key.key == "plz_shown_once"
        assert "plz_shown_once" not in repr(key)
        assert state.seen[-1].json == {
            "role": "consumer", "label": "gate 7", "rate": {"per_second": 5, "burst": 10},
        }  # fmt: skip
        assert hub.keys.list("acme")[0].label == "gate 7"
        hub.keys.revoke("acme", "k1")

    def test_keys_rotate_and_expire(self, hub, state):
        new = hub.keys.rotate("acme", "k1", overlap_s=3600)
        assert (new.id, new.key) == ("k2", "plz_shown_once")
        assert state.seen[-1].json == {"overlap_s": 3600}
        assert hub.keys.set_expiry("acme", "k1", expires_in_s=60).expires_unix_us
        assert state.seen[-1].json == {"expires_in_s": 60}
        assert hub.keys.set_expiry("acme", "k1", expires_in_s=None).expires_unix_us is None
        assert state.seen[-1].json == {"never": True}

    def test_members(self, hub, state):
        ann = hub.members.add("acme", "ann@acme.test", role="engineer", project="main")
        assert (ann.id, ann.joined_unix_us) == ("mbr_1", None)
        asked = {"email": "ann@acme.test", "role": "engineer", "project": "main"}
        assert state.seen[-1].json == asked
        assert hub.members.list("acme") == [ann]
        assert hub.members.set_role("acme", "mbr_1", "auditor").role == "auditor"
        assert hub.members.remove("acme", "mbr_1").removed_unix_us
        assert state.seen[-1].method == "DELETE"
        assert state.seen[-1].method == "DELETE"

    def test_reports(self, hub, state):
        (row,) = hub.usage(since=datetime(2026, 11, 1, tzinfo=UTC), by=["model", "key"])
        assert (row.requests, row.compute_us) == (12, 123_456)
        assert state.seen[-1].query == {
            "since": ["2026-11-01T00:00:00+00:00"],
            "by": ["model", "key"],
        }
        (entry,) = hub.audit(before=9, limit=5, organisation="*")
        assert (entry.action, state.seen[-1].query["organisation"]) == ("key.create", ["*"])
        assert hub.status().replicas[0]["live"]

    def test_a_moment_without_a_time_zone_is_refused(self, hub):
        with pytest.raises(ValueError, match="time zone"):
            hub.usage(since=datetime(2026, 11, 1))  # noqa: DTZ001 the naive moment is the point


def test_the_key_may_come_from_the_environment(connect, arguments, monkeypatch):
    monkeypatch.setenv("PLAZA_API_KEY", arguments["api_key"])
    assert connect(**arguments | {"api_key": None}).whoami().role == "admin"


def test_both_clients_have_the_same_verbs():
    def verbs(client):
        found = {}
        for part in (
            client,
            client.models,
            client.orgs,
            client.projects,
            client.keys,
            client.ledger,
            client.members,
        ):
            for name, verb in inspect.getmembers(part, callable):
                if not name.startswith("_"):
                    found[type(part).__name__.removeprefix("Async"), name] = inspect.signature(verb)
        return found

    with plaza.Client() as client:
        ours = verbs(client)
    assert ours == verbs(plaza.AsyncClient())
    assert "-> 'Detections'" in str(ours["Client", "detect"])


def test_the_client_needs_none_of_the_rooms():
    code = (
        "import sys, plaza\n"
        "heavy = {m.split('.')[0] for m in sys.modules}\n"
        "assert not [m for m in heavy if m.startswith('plaza_')], heavy\n"
        "assert not heavy & {'pydantic', 'fastapi', 'ray', 'mlflow', 'onnxruntime'}, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
