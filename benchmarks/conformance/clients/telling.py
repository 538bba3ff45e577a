"""What each client script has from the runner, and how it tells what it called.

Given by the environment: PLAZA_URL, PLAZA_GRPC, PLAZA_CONTROL_URL and keys of a consumer, an
engineer and an admin. Told on stdout: a line of JSON per call. A call that raised did not conform;
the others go on.
"""

import contextlib
import json
import os
import sys

URL = os.environ["PLAZA_URL"]
HOST = URL.removeprefix("http://")
KEY = os.environ["PLAZA_KEY"]
GRPC = os.environ["PLAZA_GRPC"]
CONTROL_URL = os.environ["PLAZA_CONTROL_URL"]
ADMIN_KEY = os.environ["PLAZA_ADMIN_KEY"]
ENGINEER_KEY = os.environ["PLAZA_ENGINEER_KEY"]
_failed = []


def authorisation(key=KEY):
    """A new dictionary for each call: some clients write into the one they are given."""
    return {"Authorization": f"Bearer {key}"}


def metadata(key=KEY):
    """The same for gRPC, whose names are in lower case."""
    return {"authorization": f"Bearer {key}"}


@contextlib.contextmanager
def call(name):
    """Around one call and what is expected of its answer; gives what takes a word about it."""
    words = []
    try:
        yield words.append
    except Exception as error:
        _failed.append(name)
        _tell(name, f"{type(error).__name__}: {error}"[:400])
    else:
        _tell(": ".join((name, *words)), None)


def _tell(name, problem):
    sys.stdout.write(json.dumps({"call": name, "problem": problem}) + "\n")
    sys.stdout.flush()


def end():
    sys.exit(1 if _failed else 0)
