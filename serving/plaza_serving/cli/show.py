"""How answers look: one style of tables, one JSON form, and the text of others made harmless."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from plaza import PlazaError


def table_of(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Columns whose title ends in '#' hold numbers and are aligned to the right."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        right = column.endswith("#")
        table.add_column(column.removesuffix("#"), justify="right" if right else "left")
    for row in rows:
        table.add_row(*map(plain, row))
    return table


_STATES = {
    "serving": "green",
    "staged": "cyan",
    "registered": "yellow",
    "retired": "dim",
    "running": "cyan",
    "promoted": "green",
    "stopped": "bold red",
    "cancelled": "dim",
    "pending": "yellow",
    "approved": "green",
    "public": "green",
    "rejected": "red",
    "dropped": "dim",
}


def state(word: str) -> Text:
    """A state in its colour, where the terminal has colours."""
    return Text(plain(word).plain, style=_STATES.get(word, ""))


def bar(part: float, width: int = 20) -> Text:
    """A filled part (0 to 1) of a line, in eighths of a character."""
    eighths = round(min(1.0, max(0.0, part)) * width * 8)
    full, rest = divmod(eighths, 8)
    filled = "█" * full + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[rest]
    style = "red" if part >= 1 else "yellow" if part >= _NEAR else "green"
    return Text(filled, style=style) + Text("·" * (width - len(filled)), style="dim")


_NEAR = 0.5


def plain(value: Any) -> Text:
    """`value` as text that is neither markup nor a terminal's control sequence."""
    if isinstance(value, Text):
        return value
    if value is None:
        return Text("-", style="dim")
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return Text("".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text))


def moment(unix_us: int | None) -> str | None:
    """A time of the hub in UTC, to the second."""
    if unix_us is None:
        return None
    return datetime.fromtimestamp(unix_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


def changed(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """What an entry of the audit trail says was changed, in one line."""
    was, now = before or {}, after or {}
    facts = (f"{n}: {_fact(was.get(n))} → {_fact(now[n])}" for n in now if was.get(n) != now[n])
    return ", ".join(facts)


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_fact(one)}" for name, one in value.items())
    return "-" if value is None else str(value)


def rate(limit: Any) -> str | None:
    return f"{limit['per_second']:g}/s, burst {limit['burst']}" if limit else None


def to_json(result: Any) -> str:
    return json.dumps(result, default=_encode, ensure_ascii=False, indent=2)


def failure(error: PlazaError, *, as_json: bool) -> str:
    """One line for a refusal, or one JSON object."""
    if as_json:
        names = ("code", "message", "status", "input", "request_id", "retry_after")
        return json.dumps({"error": {name: getattr(error, name) for name in names}})
    line = f"{error.code}: {error.message}"
    if error.input:
        line += f" [{error.input}]"
    if error.retry_after is not None:
        line += f"; try again in {error.retry_after:g} s"
    if error.request_id:
        line += f" (request {error.request_id})"
    return plain(line).plain


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    raise TypeError(f"{type(value).__name__} has no JSON form")
