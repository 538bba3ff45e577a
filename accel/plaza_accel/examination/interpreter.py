"""What a pool's own interpreter is asked of its provider: can it run here, and what does it need?

`python -m plaza_accel.examination.interpreter` reads `{"question": …, "provider": …, "options": …}`
and answers to `refusal` with `{"refusal": …}`, null where it can run, to `needs` with what `Needs`
holds. No bundle is near, so unlike an examination it keeps its environment (where a maker's
libraries are is said by variables), and the provider is asked outside any sandbox.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from plaza_accel.contract.needs import Needs
from plaza_accel.contract.provider import needs_of, select
from plaza_core.errors import PlazaError
from plaza_core.plugins import ACCELERATORS, available

if TYPE_CHECKING:
    from plaza_accel.examination.certifier import Place

_log = logging.getLogger(__name__)

_PATIENCE_S: Final = 30.0


class NoAnswer(Exception):
    """Why an interpreter said nothing, for the pool's operator."""


def refusal_of(place: Place) -> str | None:
    """Why `place` cannot be used on this machine, for its operator; None where it can. Blocks for
    as long as an interpreter needs to start and to import ONNX Runtime."""
    try:
        said = _ask(place.python, "refusal", place.provider, place.options)
    except NoAnswer as error:
        return str(error)
    refusal = said.get("refusal", "its environment has another Plaza, which answers differently")
    return None if refusal is None else str(refusal)


def refusal_here(place: Place) -> str | None:
    """The same, asked in this process; `python` is not looked at."""
    return _refusal(place.provider, place.options)


def needs_in(python: str, provider: str, options: Mapping[str, Any] | None = None) -> Needs:
    """What `provider` needs in the environment of `python`; nothing where that cannot be learned.

    Asked in this process where the provider is installed here too, which takes no time.
    """
    if python == sys.executable or provider in available(ACCELERATORS):
        return needs_of(provider, options)
    try:
        said = _ask(python, "needs", provider, options or {})
        made: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in said.items()
        }
        return Needs(**made)
    except (NoAnswer, TypeError, ValueError, AttributeError):
        _log.warning("%s does not say what '%s' needs: nothing is admitted", python, provider)
        return Needs()


def _ask(python: str, question: str, provider: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What it writes last. Raises NoAnswer where that is no JSON object."""
    asked = json.dumps({"question": question, "provider": provider, "options": dict(options)})
    command = [python, "-P", "-m", __name__]
    try:
        done = subprocess.run(  # noqa: S603 an interpreter that the settings name
            command, input=asked, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except OSError as error:
        raise NoAnswer(f"its environment cannot be started: {error.strerror}: {python}") from None
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"its environment gave no answer for {_PATIENCE_S:g} s") from None
    with contextlib.suppress(IndexError, ValueError):
        said = json.loads(done.stdout.splitlines()[-1])
        if isinstance(said, dict):
            return said
    _log.warning("%s: %s", python, done.stderr[-2000:])
    raise NoAnswer(
        f"its environment has no Plaza that starts ({python}): make one with "
        "'python -m plaza_accel.providers.overlay', or look at control's log"
    )


def _refusal(provider: str, options: Mapping[str, Any]) -> str | None:
    try:
        select(provider, options)
    except PlazaError as error:
        where = f"option '{error.input}': " if error.input in options else ""
        return where + error.message
    return None


def main() -> None:
    asked = json.loads(sys.stdin.read())
    provider, options = asked["provider"], asked["options"]
    if asked["question"] == "needs":
        answer = asdict(needs_of(provider, options))
    else:
        answer = {"refusal": _refusal(provider, options)}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
