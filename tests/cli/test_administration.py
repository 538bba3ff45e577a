"""Models, tenants and reports from the shell: what is sent, what is shown, in both forms."""

import socket

import pytest
from starlette.responses import JSONResponse

from tests.client.canned import canned
from tests.client.hub import error


@pytest.fixture
def bundle(tmp_path):
    directory = tmp_path / "bundle"
    directory.mkdir()
    (directory / "model.onnx").write_bytes(b"\x08\x0a")
    (directory / "plaza.yaml").write_text("schema: 1\n")
    return directory


class TestModels:
    def test_register(self, plaza, state, bundle):
        done = plaza("models", "register", bundle, "--name", "cars", "--visibility", "public")
        assert done.code == 0
        assert "cars" in done.out
        assert "registered" in done.out
        assert state.seen[-1].json == {"name": "cars", "visibility": "public"}
        assert "known already" in plaza("models", "register", bundle, "--name", "cars").out

    def test_register_for_programs(self, answer, bundle):
        done = answer("models", "register", bundle)
        assert (done["version"], done["created"], done["tracked"]) == (1, True, True)

    def test_register_what_is_no_directory(self, plaza, state):
        done = plaza("models", "register", "absent")
        assert (done.code, state.seen) == (2, [])
        assert "absent" in done.err

    def test_list_and_show(self, plaza, answer):
        shown = plaza("models", "list").out
        assert "acme.main.cars" in shown
        assert "vision.detect" in shown
        assert "champion → 1" in shown
        assert answer("models", "list")[0]["aliases"] == {"champion": 1}
        assert answer("models", "show", "cars")["versions"][0]["family"] == "vision.detect"

    def test_a_card_is_text_and_never_markup_or_control(self, plaza, state):
        evil = canned("GET models/cars/versions", {})
        evil["items"][0]["card"] = "[red]bold[/red] \x1b[31mcolour\x1b[0m \x07"
        state.refuse["GET /api/v1/models/cars/versions"] = JSONResponse(evil)
        shown = plaza("models", "show", "cars").out
        assert "[red]bold[/red] \\x1b[31mcolour\\x1b[0m \\x07" in shown
        assert "\x1b" not in shown

    def test_versions(self, plaza):
        shown = plaza("models", "versions", "cars").out
        assert "2026-11-21 12:07:19" in shown
        assert "abababababab" in shown

    def test_promote(self, plaza, state):
        shown = plaza("models", "promote", "cars", "2").out
        assert "champion → 2" in shown
        assert "r-2" in shown
        assert state.seen[-1].json == {"version": 2}
        assert plaza("models", "promote", "cars", "none").code == 2


class TestTenants:
    def test_organisations(self, plaza, answer, state):
        assert answer("orgs", "create", "newcomer", "--title", "New")["name"] == "newcomer"
        assert "Acme Traffic" in plaza("orgs", "list").out
        assert "100/s, burst 200" in plaza("orgs", "show", "acme").out
        assert "suspended" in plaza("orgs", "suspend", "acme").out
        assert "active" in plaza("orgs", "resume", "acme").out
        limited = answer("orgs", "limit", "acme", "--per-second", 2.5, "--burst", 4)
        assert limited["rate"] == {"per_second": 2.5, "burst": 4}

    def test_projects(self, plaza, state):
        assert "cameras" in plaza("projects", "create", "cameras", "--organisation", "acme").out
        assert state.seen[-1].path == "/api/v1/organisations/acme/projects"
        assert "main" in plaza("projects", "list", "--organisation", "acme").out

    def test_keys(self, plaza, state):
        made = plaza(
            "keys", "create", "--organisation", "acme", "--role", "consumer", "--label", "gate 7",
            "--expires-in-days", 30,
        )  # fmt: skip
        assert "plz_shown_once" in made.out
        asked = {"role": "consumer", "label": "gate 7", "expires_in_s": 2_592_000}
        assert state.seen[-1].json == asked
        bare = plaza("keys", "create", "--organisation", "acme", "--role", "admin", "--bare")
        assert bare.out == "plz_shown_once\n"
        listed = plaza("keys", "list", "--organisation", "acme").out
        assert "gate 7" in listed
        assert "plz_" not in listed
        assert plaza("keys", "revoke", "k1", "--organisation", "acme").code == 0
        assert state.seen[-1].method == "DELETE"

    def test_a_key_is_rotated_and_its_end_is_moved(self, plaza, state):
        here = ("--organisation", "acme")
        done = plaza("keys", "rotate", "k1", "--overlap", "1h", *here)
        assert "plz_shown_once" in done.out
        assert state.seen[-1].json == {"overlap_s": 3600}
        plaza("keys", "rotate", "k1", *here)
        assert state.seen[-1].json == {"overlap_s": 86_400}
        assert "2026-11-21" in plaza("keys", "expire", "k1", "--in", "30d", *here).out
        assert state.seen[-1].json == {"expires_in_s": 2_592_000}
        assert "never" in plaza("keys", "expire", "k1", "--never", *here).out
        seen = len(state.seen)
        for wrong in (("--in", "soon"), ("--in", "1d", "--never"), ()):
            assert plaza("keys", "expire", "k1", *wrong, *here).code == 2
        assert plaza("keys", "rotate", "k1", "--overlap", "-1h", *here).code == 2
        assert len(state.seen) == seen

    def test_members(self, plaza, state):
        here = ("--organisation", "acme")
        added = plaza("members", "add", "ann@acme.test", "--role", "engineer", *here)
        assert "invited" in added.out
        assert state.seen[-1].json == {"email": "ann@acme.test", "role": "engineer"}
        assert "ann@acme.test" in plaza("members", "list", *here).out
        assert "auditor" in plaza("members", "role", "mbr_1", "auditor", *here).out
        assert "removed" in plaza("members", "remove", "mbr_1", *here).out
        assert plaza("members", "role", "mbr_1", "king", *here).code == 2

    def test_without_an_organisation_it_is_the_keys_own(self, plaza, state):
        plaza("keys", "list")
        assert state.seen[-1].path == "/api/v1/organisations/operator/keys"

    def test_an_unknown_role(self, plaza):
        assert plaza("keys", "create", "--role", "king").code == 2


class TestReports:
    def test_usage(self, plaza, state):
        shown = plaza("usage", "--since", "2026-11-01", "--by", "model").out
        assert "cars" in shown
        assert "0.123" in shown
        assert state.seen[-1].query["since"] == ["2026-11-01T00:00:00+00:00"]
        assert plaza("usage", "--since", "7d").code == 0
        assert plaza("usage", "--since", "yesterday").code == 2

    def test_audit(self, plaza, state):
        assert "key.create" in plaza("audit", "--limit", 5, "--organisation", "*").out
        assert state.seen[-1].query == {"limit": ["5"], "organisation": ["*"]}

    def test_status(self, plaza, answer):
        shown = plaza("status").out
        assert "2 of 2" in shown
        assert "r-1" in shown
        assert "waiting for MLflow: nothing" in shown
        assert answer("status")["pools"][0]["name"] == "main"


class TestRefusals:
    def test_one_line_with_code_and_request(self, plaza, state):
        state.refuse["GET /api/v1/status"] = error(
            403, "forbidden", "role 'consumer' does not include 'tenants.read'"
        )
        done = plaza("status")
        assert (done.code, done.out) == (1, "")
        assert done.err == (
            "forbidden: role 'consumer' does not include 'tenants.read' (request req-1)\n"
        )

    def test_the_offending_input_and_the_time_to_wait(self, plaza, state):
        state.refuse["GET /api/v1/status"] = error(
            429, "rate_limited", "too many", input="key", retry_after=2.5
        )
        done = plaza("--patience", 0, "status")
        assert done.err == "rate_limited: too many [key]; try again in 2.5 s (request req-1)\n"

    def test_for_programs(self, plaza, state):
        done = plaza("--json", "status", key="plz_wrong")
        assert done.code == 1
        assert '"code": "unauthenticated"' in done.err
        assert done.out == ""

    def test_nobody_there(self, run, elsewhere, free_address):
        done = run("--control", free_address, "status")
        assert done.code == 3
        assert done.err.startswith("unreachable: ")

    def test_a_wrong_setting(self, run, elsewhere, monkeypatch):
        monkeypatch.setenv("PLAZA_HTTP_PORT", "many")
        done = run("status")
        assert done.code == 2
        assert "http_port" in done.err


@pytest.fixture
def free_address():
    """An address where nobody listens, kept for the test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}"


class TestTheKey:
    @pytest.fixture
    def status(self, run, mini_hub, state, elsewhere):
        return lambda *options: run("--control", mini_hub[1], *options, "status").code

    def test_from_the_environment(self, status, monkeypatch):
        assert status() == 1
        monkeypatch.setenv("PLAZA_API_KEY", "plz_test")
        assert status() == 0

    def test_from_the_file_that_up_writes(self, status, elsewhere):
        (elsewhere / ".plaza").mkdir()
        (elsewhere / ".plaza/admin.key").write_text("plz_test\n")
        assert status() == 0

    def test_an_option_goes_first(self, status, monkeypatch):
        monkeypatch.setenv("PLAZA_API_KEY", "plz_test")
        assert status("--key", "plz_wrong") == 1
