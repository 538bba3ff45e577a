"""One run of the command line: where the hub is, with which key, and how to print."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

import plaza
from plaza_core.settings import Settings
from plaza_serving.cli.show import failure, to_json

ADMIN_KEY_FILE = "admin.key"
REFUSED, WRONG, UNREACHABLE = 1, 2, 3
"""Exit codes; the parser too says 2, of a wrong command line."""


@dataclass(frozen=True, slots=True)
class Session:
    """What the global options say; `context.obj` of every command."""

    url: str | None
    control_url: str | None
    key: str | None
    as_json: bool
    out: Console
    err: Console
    patience_s: float | None = None

    @property
    def control(self) -> str:
        """Where the hub is administered: what a login is for."""
        return (self.control_url or read_settings().control_address).rstrip("/")

    @contextmanager
    def hub(self) -> Iterator[plaza.Client]:
        """A client of the hub: options before settings (`PLAZA_…`, `plaza.toml`).

        A PlazaError in the block becomes one red line and the exit code.
        """
        settings = read_settings()
        url = self.url or settings.address
        control = self.control
        key = self.key or settings.api_key or kept_login(control) or _admin_key(settings.state_dir)
        try:
            with plaza.Client(url, control, key, patience_s=self.patience_s) as client:
                yield client
        except plaza.PlazaError as error:
            line = failure(error, as_json=self.as_json)
            self.err.print(line, style="red", markup=False, soft_wrap=True)
            code = UNREACHABLE if isinstance(error, plaza.Unreachable) else REFUSED
            raise typer.Exit(code) from None
        except ValueError as error:  # what the client refuses to send
            raise typer.BadParameter(str(error)) from None

    def answer(self, result: Any, table: Table) -> None:
        """Print `result` as JSON if that was asked for, else `table`."""
        if self.as_json:
            self.out.print(to_json(result), markup=False, soft_wrap=True)
        else:
            self.out.print(table)


def read_settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise typer.BadParameter(f"setting '{where}': {first['msg']}") from None


def session(context: typer.Context) -> Session:
    found = context.find_object(Session)
    assert found is not None, "the callback of the application sets it"
    return found


def login_file() -> Path:
    """Where `plaza login` keeps sessions: control's address -> token and expiry."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "plaza" / "login.json"


def kept_logins() -> dict[str, dict[str, Any]]:
    try:
        kept = json.loads(login_file().read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def kept_login(control: str) -> str | None:
    """The session of a login at this hub that has not ended."""
    entry = kept_logins().get(control, {})
    token = entry.get("token")
    fresh = entry.get("expires_unix_us", 0) > time.time() * 1e6
    return token if fresh and isinstance(token, str) else None


def _admin_key(state_dir: Path) -> str | None:
    """The operator's key that the first `plaza up` left on this machine."""
    try:
        return (state_dir / ADMIN_KEY_FILE).read_text().strip()
    except OSError:
        return None
