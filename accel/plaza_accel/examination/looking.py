"""Can a pool run on this machine? Its provider is asked in the pool's own interpreter.

`python -m plaza_accel.examination.looking` reads `{"provider": …, "options": …}` and writes
`{"refusal": …}`, null where it can. No bundle is near, so unlike an examination it keeps its
environment: where a maker's libraries are is said by variables.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Final

from plaza_accel.examination.certifier import Place
from plaza_core.errors import PlazaError

_log = logging.getLogger(__name__)

_PATIENCE_S: Final = 30.0


def refusal_of(place: Place) -> str | None:
    """Why `place` cannot be used on this machine, for its operator; None where it can. Blocks for
    as long as an interpreter needs to start and to import ONNX Runtime."""
    asked = json.dumps({"provider": place.provider, "options": dict(place.options)})
    command = [place.python, "-P", "-m", __name__]
    try:
        done = subprocess.run(  # noqa: S603 an interpreter that the settings name
            command, input=asked, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except OSError as error:
        return f"its environment cannot be started: {error.strerror}: {place.python}"
    except subprocess.TimeoutExpired:
        return f"its environment gave no answer for {_PATIENCE_S:g} s"
    try:
        refusal = json.loads(done.stdout.splitlines()[-1])["refusal"]
    except (IndexError, ValueError, TypeError, KeyError):
        _log.warning("%s: %s", place.python, done.stderr[-2000:])
        return (
            f"its environment has no Plaza that starts ({place.python}): make one with "
            "'python -m plaza_accel.providers.overlay', or look at control's log"
        )
    return None if refusal is None else str(refusal)


def refusal_here(place: Place) -> str | None:
    """The same, asked in this process; `python` is not looked at."""
    from plaza_accel.contract.provider import select

    try:
        select(place.provider, place.options)
    except PlazaError as error:
        where = f"option '{error.input}': " if error.input in place.options else ""
        return where + error.message
    return None


def main() -> None:
    asked = json.loads(sys.stdin.read())
    refusal = refusal_here(Place(asked["provider"], asked["options"]))
    sys.stdout.write(json.dumps({"refusal": refusal}) + "\n")


if __name__ == "__main__":
    main()
