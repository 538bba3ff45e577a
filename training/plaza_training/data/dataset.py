"""What a data set is: named files with checksums, their meaning, licence, source and split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal
from urllib.parse import quote

Family = Literal["forecast", "vision", "text"]
_NOWHERE = "-"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a set."""

    path: str
    """Below the folder of the set."""
    sha256: str
    url: str
    """Public address at a fixed commit; empty where this form of the file is published nowhere."""
    bytes: int = 0
    """Its size; 0 where the set does not say."""


@dataclass(frozen=True, slots=True)
class Split:
    """A part as published: `count` examples (rows of a series, lines, pictures) of `path`, which is
    a file or a folder, the first of them at `first`."""

    name: str
    count: int
    path: str
    first: int = 0

    @property
    def last(self) -> int:
        """The first row after the part."""
        return self.first + self.count


@dataclass(frozen=True, slots=True)
class Table:
    """The schema of a CSV file: columns as its first line names them, and rows below that line.
    Without columns the file has no such line."""

    path: str
    rows: int
    columns: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class DataSet:
    """A published data set as a card must cite it."""

    name: str
    """Folder below the data directory."""
    title: str
    licence: str
    """SPDX identifier, or a plain statement where there is none."""
    source: str
    """Page of the publication, at the commit that was used."""
    attribution: str
    """Whom to credit, in one sentence."""
    files: tuple[SourceFile, ...]
    family: Family | None = None
    may_ship: bool = False
    """Whether the licence lets weights trained on the set be distributed."""
    tables: tuple[Table, ...] = ()
    splits: tuple[Split, ...] = ()
    protocol: str = ""
    """How the literature measures on it."""

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def split(self, name: str) -> Split:
        """Raises KeyError for a part that was not published."""
        return {split.name: split for split in self.splits}[name]


@cache
def listed(name: str) -> tuple[SourceFile, ...]:
    """The files of the set `name`, from its list in this package.

    The first line names the public address and, after a tab, the folder that all paths are below. A
    file is a line of sha256, bytes, path; a fourth field gives another public path, or `-`: none.
    """
    text = files(__package__).joinpath("lists", f"{name}.tsv").read_text(encoding="utf-8")
    head, *lines = text.splitlines()
    base, _, folder = head.removeprefix("# ").partition("\t")
    found = []
    for line in lines:
        sha256, size, path, *other = line.split("\t")
        public = other[0].removeprefix("/") if other else folder + path
        nowhere = _NOWHERE in {base, public}
        url = "" if nowhere else base + quote(public)
        found.append(SourceFile(path, sha256, url, int(size)))
    return tuple(found)
