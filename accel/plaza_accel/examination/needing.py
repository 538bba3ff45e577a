"""What does a provider need that only a pool's environment has? Its own interpreter is asked.

`python -m plaza_accel.examination.needing` reads `{"provider": …, "options": …}` and writes what
`Needs` holds. No bundle is near, so it keeps its environment, and the provider is asked outside any
sandbox.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from plaza_accel.contract.needs import Needs
from plaza_accel.contract.provider import needs_of
from plaza_core.plugins import ACCELERATORS, available

_log = logging.getLogger(__name__)

_PATIENCE_S: Final = 30.0


def needs_in(python: str, provider: str, options: Mapping[str, Any] | None = None) -> Needs:
    """What `provider` needs in the environment of `python`; nothing where that cannot be learned.

    Asked in this process where the provider is installed here too, which takes no time.
    """
    if python == sys.executable or provider in available(ACCELERATORS):
        return needs_of(provider, options)
    asked = json.dumps({"provider": provider, "options": dict(options or {})})
    try:
        done = subprocess.run(  # noqa: S603 an interpreter that the settings name
            [python, "-P", "-m", __name__],
            input=asked,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        said = json.loads(done.stdout.splitlines()[-1])
        made: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in said.items()
        }
        return Needs(**made)
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError, TypeError, AttributeError):
        _log.warning("%s does not say what '%s' needs: nothing is admitted", python, provider)
        return Needs()


def main() -> None:
    asked = json.loads(sys.stdin.read())
    needs = needs_of(asked["provider"], asked["options"])
    sys.stdout.write(json.dumps(asdict(needs)) + "\n")


if __name__ == "__main__":
    main()
