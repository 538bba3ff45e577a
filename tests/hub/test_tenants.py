"""Organisations do not see one another, and a key stops when it is told to."""

import time

import httpx
import numpy as np
import pytest

import plaza
from benchmarks import graphs
from tests.hub.waiting import until

pytestmark = pytest.mark.hub

X = {"x": np.zeros((1, 4), np.float32)}


def test_a_model_of_another_organisation_does_not_exist(hub, organisation, key):
    name, _, client = organisation
    directory = graphs.tiny(seed=9).write(hub.models / f"{name}-private")
    client.models.register(directory, name="private", visibility="organisation")
    until(lambda: client.infer("private", X))
    stranger = hub.client(key)
    for wire in ("private", f"{name}.main.private"):
        with pytest.raises(plaza.PlazaError) as inference:
            stranger.infer(wire, X)
        assert (inference.value.status, inference.value.code) == (404, "model_not_found")
    with pytest.raises(plaza.PlazaError) as catalogue:
        stranger.models.show(f"{name}.main.private")
    assert catalogue.value.status == 404


def test_a_revoked_key_stops_within_a_second_on_every_replica(hub, organisation):
    name, _, _ = organisation
    made = hub.admin.keys.create(name, role="consumer")
    client = hub.client(made.key)
    until(lambda: client.infer("tiny", X))
    hub.admin.keys.revoke(name, made.id)
    revoked = time.monotonic()
    last_success = revoked
    while time.monotonic() - revoked < 2:
        headers = {"authorization": f"Bearer {made.key}"}
        if httpx.get(f"{hub.url}/v2", headers=headers).status_code == httpx.codes.OK:
            last_success = time.monotonic()
    assert last_success - revoked < 1


def test_a_suspended_organisation_stops_and_resumes(hub, organisation):
    name, _, client = organisation
    hub.admin.orgs.suspend(name)
    until(lambda: status_of(client) == 401)
    hub.admin.orgs.resume(name)
    until(lambda: client.infer("tiny", X))


def status_of(client):
    try:
        client.infer("tiny", X)
    except plaza.PlazaError as error:
        return error.status
    return 200


def test_every_administrative_change_is_in_the_audit(hub, organisation):
    name, _, _ = organisation
    actions = [entry.action for entry in hub.admin.audit(organisation=name)]
    assert "organisation.create" in actions
    assert "key.create" in actions


def test_nothing_answers_on_the_internal_door_without_the_nodes_token(hub, key):
    for path in ("table", "heartbeats", "usage", f"blobs/{'0' * 64}"):
        for headers in ({}, {"authorization": f"Bearer {key}"}):
            answer = httpx.get(f"{hub.control_url}/internal/v1/{path}", headers=headers)
            assert answer.status_code in {401, 404, 405}
            assert answer.status_code != 200


def test_ray_refuses_whoever_has_no_token(hub):
    dashboard = f"http://127.0.0.1:{hub.environment['PLAZA_DASHBOARD_PORT']}"
    for path in ("/api/serve/applications/", "/api/jobs/"):
        assert httpx.get(dashboard + path).status_code in {401, 403}
