"""What the hub in miniature answers on its administrative port: one of everything, always alike."""

RATE = {"per_second": 100.0, "burst": 200}
NOW = 1_795_262_839_000_000
PROPOSAL = {
    "id": "prp_1",
    "model": "mdl_1",
    "name": "cars",
    "alias": "champion",
    "version": 2,
    "number": 2,
    "present": 1,
    "state": "open",
    "seen_unix_us": NOW,
    "decided_unix_us": None,
    "decided_by": None,
}
MODEL = {
    "id": "mdl_1",
    "name": "cars",
    "organisation": "org_1",
    "organisation_name": "acme",
    "project": "prj_1",
    "project_name": "main",
    "visibility": "project",
    "versions": [
        {
            "version": 1,
            "digest": "ab" * 32,
            "manifest": {"family": "vision.detect"},
            "files": [],
        }
    ],
    "aliases": {"champion": 1},
}
VERSION = {
    "model": "mdl_1",
    "name": "cars",
    "version": 1,
    "digest": "ab" * 32,
    "family": "vision.detect",
    "created_unix_us": NOW,
    "card": "# Cars [red]on roads[/red]",
}
API_KEY = {
    "id": "k1",
    "role": "consumer",
    "label": "gate 7",
    "project_name": None,
    "created_unix_us": NOW,
    "expires_unix_us": None,
    "revoked_unix_us": None,
    "last_used_unix_us": None,
    "rate": None,
}
MEMBER = {
    "id": "mbr_1",
    "email": "ann@acme.test",
    "role": "engineer",
    "organisation_name": "acme",
    "project_name": None,
    "created_unix_us": NOW,
    "joined_unix_us": None,
    "removed_unix_us": None,
}
USAGE = {
    "group": {"model": "mdl_1"},
    "labels": {"model": "cars"},
    "requests": 12,
    "answered": 11,
    "rows": 40,
    "compute_us": 123_456,
    "host_us": 789,
}
ENTRY = {
    "id": 5,
    "at_unix_us": NOW,
    "actor": "k0",
    "organisation": "org_1",
    "organisation_name": "acme",
    "project": None,
    "action": "key.create",
    "target": "k1",
    "before": None,
    "after": {"role": "consumer"},
}
STATUS = {
    "table_version": "t-9",
    "outbox_pending": 0,
    "mlflow": {"waiting": 0, "since_unix_us": None, "problem": None, "stuck": {}},
    "ray": {"reachable": True, "error": None},
    "pools": [
        {
            "name": "main",
            "provider": "cpu",
            "route_prefix": "/",
            "grpc_port": 8001,
            "wanted": 2,
            "running": 2,
            "status": "RUNNING",
            "why": None,
        }
    ],
    "replicas": [
        {
            "replica": "r-1",
            "pool": "main",
            "age_s": 0.4,
            "live": True,
            "current": True,
            "ready": 4,
        }
    ],
}
WHO = {
    "key": "k0",
    "organisation": "org_0",
    "organisation_name": "operator",
    "project": None,
    "project_name": None,
    "role": "admin",
    "operator": True,
    "rights": ["infer"],
}


def organisation(name="acme", suspended=False, rate=None):
    return {
        "id": "org_1",
        "name": name,
        "title": "Acme Traffic",
        "operator": False,
        "suspended": suspended,
        "rate": rate or RATE,
        "created_unix_us": NOW,
    }


FIXED = {
    "GET whoami": WHO,
    "GET models": {"items": [MODEL]},
    "GET models/cars": MODEL,
    "GET models/cars/versions": {"items": [VERSION]},
    "GET organisations": {"items": [organisation()]},
    "GET organisations/acme": organisation(),
    "GET organisations/acme/keys": {"items": [API_KEY]},
    "POST organisations/acme/keys": {"id": "k1", "key": "plz_shown_once", "info": API_KEY},
    "DELETE organisations/acme/keys/k1": API_KEY,
    "POST organisations/acme/keys/k1/rotate": {
        "id": "k2",
        "key": "plz_shown_once",
        "info": API_KEY | {"replaces": "k1"},
    },
    "GET organisations/acme/members": {"items": [MEMBER]},
    "POST organisations/acme/members": MEMBER,
    "DELETE organisations/acme/members/mbr_1": MEMBER | {"removed_unix_us": NOW},
    "DELETE models/cars/aliases/spare": MODEL,
    "GET proposals": {"items": [PROPOSAL]},
    "POST proposals/prp_1/accept": {
        "proposal": PROPOSAL | {"state": "accepted", "decided_by": "k0"},
        "promotion": {
            "model": "mdl_1",
            "alias": "champion",
            "version": 2,
            "published_on": ["r-1"],
            "waiting_for": [],
            "failed_on": {},
        },
    },
    "POST proposals/prp_1/reject": PROPOSAL | {"state": "rejected"},
    "GET usage": {"items": [USAGE], "since_us": 0, "until_us": NOW},
    "GET audit": {"items": [ENTRY], "next": None},
    "GET status": STATUS,
}
"""`METHOD path` -> the answer, whatever the body."""


def canned(key, body):
    """What is answered to `METHOD path` with this body; None: there is nothing."""
    project = {
        "id": "prj_1",
        "organisation": "org_1",
        "organisation_name": "acme",
        "name": body.get("name", "main"),
        "rate": None,
        "created_unix_us": NOW,
    }
    answers = {
        "PUT models/cars/aliases/champion": {
            "model": "mdl_1",
            "alias": "champion",
            "version": body.get("version"),
            "published_on": ["r-1"],
            "waiting_for": ["r-2"],
            "failed_on": {},
        },
        "POST organisations": organisation(body.get("name")),
        "PATCH organisations/acme": organisation(
            suspended=body.get("suspended", False), rate=body.get("rate")
        ),
        "GET organisations/acme/projects": {"items": [project]},
        "POST organisations/acme/projects": project,
        "PUT organisations/acme/keys/k1/expiry": API_KEY
        | {"expires_unix_us": NOW if body.get("expires_in_s") else None},
        "PATCH organisations/acme/members/mbr_1": MEMBER | body,
        "POST imports": {
            "model": "mdl_1",
            "name": body.get("name") or "cars",
            "version": 3,
            "digest": "cd" * 32,
            "created": True,
            "tracked": False,
            "why_not_tracked": "MLflow cannot be reached",
            "examination": {"passed": True},
            "lineage": {"run": "run1", "source": body.get("source")},
        },
    }
    return answers.get(key, FIXED.get(key))
