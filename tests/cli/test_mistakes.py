"""What people type by mistake is told in one line with its remedy, and changes nothing."""

from __future__ import annotations

import json

import pytest

from tests.cli.test_quotas import ACME


def test_another_period_needs_a_limit_or_the_word_that_there_is_none(command, answered):
    answered("quota", "set", *ACME, "--limit", "100")
    silent = command("quota", "set", *ACME, "--period", "day")
    assert (silent.code, "--count-only" in silent.err) == (2, True)
    both = command("quota", "set", *ACME, "--limit", "5", "--count-only")
    assert both.code == 2
    assert answered("quota", "show", *ACME)[0]["limit"] == 100
    assert answered("quota", "set", *ACME, "--count-only")[0]["limit"] is None


def test_a_limit_on_concurrency_is_lifted_by_saying_so(command, answered):
    assert command("quota", "concurrency", *ACME).code == 2
    assert answered("quota", "concurrency", *ACME, "--limit", "7")["limit"] == 7
    assert answered("quota", "concurrency", *ACME, "--none")["limit"] is None


@pytest.mark.parametrize("rate", ["nan", "inf", "-1"])
def test_a_rate_that_is_no_number_is_refused_in_one_line(command, rate):
    done = command("orgs", "limit", "acme", f"--per-second={rate}", "--burst", "1")
    assert done.code in {1, 2}
    assert "Traceback" not in done.err


def test_a_project_and_a_key_at_once_are_a_wrong_command_line(command):
    done = command("quota", "show", *ACME, "--project", "main", "--key-id", "x")
    assert (done.code, "not both" in done.err) == (2, True)


def test_json_may_be_asked_for_at_the_end(command):
    done = command("orgs", "show", "acme", "--json")
    assert json.loads(done.out)["name"] == "acme"


def test_who_am_i(command):
    told = command("whoami").out
    assert "admin" in told
    assert "operator" in told


def test_without_a_provider_login_says_so_at_once(command):
    done = command("login")
    assert (done.code, "use a key" in done.err) == (1, True)


def test_nobody_there_is_told_with_the_address(run, elsewhere):
    done = run("--control", "http://127.0.0.1:9", "--key", "plz_x", "orgs", "list")
    assert done.code == 3
    assert "http://127.0.0.1:9" in done.err


def test_reports_name_organisations(command, answered):
    answered("quota", "set", *ACME, "--limit", "100")
    assert "acme" in command("audit", "verify", "--organisation", "*").out
    assert "limit: - → 100" in command("audit", *ACME, "--limit", "1").out
