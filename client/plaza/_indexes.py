"""Verbs of search indexes in control's admin API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from plaza._admin import _call, _many, _one
from plaza._http import JSON_TYPE, Answer, Call, Steps, json_body, path_of
from plaza.records import record

Mode = Literal["hybrid", "keywords", "vectors"]
AT_ONCE = 500
"""Documents of one request; the hub takes 1,000."""


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """One index. `model` None: it has words only. `bytes` are those that are stored."""

    id: str
    name: str
    project_name: str
    model: str | None
    version: int | None
    documents: int
    bytes: int
    created_unix_us: int
    created_by: str
    changed_unix_us: int


@dataclass(frozen=True, slots=True)
class Document:
    """`facts` is kept with the document and given back; it is not searched."""

    id: str
    text: str = field(repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that answers a query. Ranks count from 1; None: it is not in that list."""

    id: str
    text: str
    facts: Mapping[str, Any]
    score: float
    keyword_rank: int | None
    keyword_score: float | None
    vector_rank: int | None
    cosine: float | None


@dataclass(frozen=True, slots=True)
class Hits:
    """Best first. `charge`: compute units for the query's embedding."""

    items: list[Hit]
    mode: str
    charge: int


@dataclass(frozen=True, slots=True)
class DocumentsPut:
    """What became of documents. `documents` is what the index holds now; `charge` is in compute
    units."""

    added: int
    replaced: int
    unchanged: int
    documents: int
    charge: int


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """`next` is the `after` of the next page; None at the end."""

    items: list[Document]
    next: str | None


def create(
    name: str,
    *,
    model: str | None = None,
    version: str = "champion",
    project: str | None = None,
    organisation: str | None = None,
) -> Call[SearchIndex]:
    """An empty index. With an embedder it answers by meaning and words, without by words."""
    body = {"name": name, "model": model, "version": version, "project": project}
    return _call("POST", "/indexes", _one(SearchIndex), body=body, organisation=organisation)


def list_indexes(*, organisation: str | None = None) -> Call[list[SearchIndex]]:
    return _call("GET", "/indexes", _many(SearchIndex), organisation=organisation)


def show(index: str, *, organisation: str | None = None) -> Call[SearchIndex]:
    """`index` is `name` or `project.name`."""
    return _call("GET", "/indexes" + path_of(index), _one(SearchIndex), organisation=organisation)


def drop(index: str, *, organisation: str | None = None) -> Call[None]:
    """With all its documents, for good."""
    return _call("DELETE", "/indexes" + path_of(index), lambda _: None, organisation=organisation)


def put(index: str, documents: Iterable[Document | Mapping[str, Any]]) -> Steps[DocumentsPut]:
    """Add documents, or replace those of the same id, 500 in a request; what was sent before an
    error stays. What the index holds already costs nothing again."""
    waiting = iter(documents)
    done: DocumentsPut | None = None
    while part := [_fields(one) for one in islice(waiting, AT_ONCE)]:
        now = yield _call("PUT", _place(index), _one(DocumentsPut), body={"documents": part})
        done = now if done is None else _together(done, now)
    if done is None:
        there = yield show(index)
        done = DocumentsPut(0, 0, 0, there.documents, 0)
    return done


def delete(index: str, ids: Sequence[str]) -> Call[int]:
    """At most 1,000. Returns how many of `ids` there were."""
    path = _place(index) + "/delete"
    return _call("POST", path, lambda answer: int(answer.json()["deleted"]), body={"ids": ids})


def documents(index: str, *, after: str | None = None, limit: int = 100) -> Call[DocumentPage]:
    """By id; `after` is the `next` of the page before."""

    def read(answer: Answer) -> DocumentPage:
        page = answer.json()
        return DocumentPage([record(Document, one) for one in page["items"]], page["next"])

    return _call("GET", _place(index), read, after=after, limit=limit)


def search(index: str, query: str, *, limit: int = 10, mode: Mode | None = None) -> Call[Hits]:
    """By meaning and words, or by one of them: `keywords` costs nothing."""

    def read(answer: Answer) -> Hits:
        found = answer.json()
        return Hits([record(Hit, one) for one in found["items"]], found["mode"], found["charge"])

    return Call(
        "control",
        "POST",
        "/api/v1/indexes" + path_of(index, "search"),
        read,
        headers=JSON_TYPE,
        content=json_body({"query": query, "limit": limit, "mode": mode}),
        reads=True,
    )


def _place(index: str) -> str:
    return "/indexes" + path_of(index, "documents")


def _fields(document: Document | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(document, Document):
        return {"id": document.id, "text": document.text, "facts": dict(document.facts)}
    return document


def _together(one: DocumentsPut, more: DocumentsPut) -> DocumentsPut:
    return DocumentsPut(
        one.added + more.added,
        one.replaced + more.replaced,
        one.unchanged + more.unchanged,
        more.documents,
        one.charge + more.charge,
    )
