"""Bodies of the routes about search indexes."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator

from plaza_core.indexes import IndexInfo
from plaza_models.search.segment import Document
from plaza_serving.control.shapes.base import Answer, Taken, example
from plaza_serving.searching import service

DocumentId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
PUT_AT_ONCE = 1_000
TEXT_CHARACTERS = 20_000
FACTS_CHARACTERS = 4_000


class NewIndex(Taken):
    model_config = example(name="cases", model="sentence-embedder")

    name: str
    project: str | None = Field(None, description="Default: the only one that the key sees.")
    model: str | None = Field(
        None, description="An embedder (`text.embed`). Without one the index has words only."
    )
    version: str = Field("champion", description="An alias or a number; the index keeps to it.")


class IndexAnswer(Answer):
    id: str
    name: str
    project_name: str
    model: str | None
    version: int | None
    documents: int
    bytes: int = Field(description="As stored: what counts for `index-bytes`.")
    created_unix_us: int
    created_by: str
    changed_unix_us: int

    @classmethod
    def of(cls, info: IndexInfo) -> IndexAnswer:
        return cls(**{name: getattr(info, name) for name in cls.model_fields})


class DocumentBody(Taken):
    model_config = example(id="case-1", text="street light broken", facts={"district": 3})

    id: DocumentId
    text: str = Field(max_length=TEXT_CHARACTERS)
    facts: dict[str, Any] = Field(
        default_factory=dict, description="Kept with the document and given back; not searched."
    )

    @field_validator("text")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("a document must have a text")
        return value

    def document(self) -> Document:
        return Document(self.id, self.text, _plain(self.facts))

    @field_validator("facts")
    @classmethod
    def _short(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            if len(_plain(value)) > FACTS_CHARACTERS:
                raise ValueError(f"facts are longer than {FACTS_CHARACTERS} characters")
        except RecursionError:
            raise ValueError("facts are nested too deeply") from None
        return value


def _plain(facts: dict[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class Documents(Taken):
    model_config = example(documents=[{"id": "case-1", "text": "street light broken"}])

    documents: list[DocumentBody] = Field(min_length=1, max_length=PUT_AT_ONCE)


class DocumentsPut(Answer):
    added: int
    replaced: int
    unchanged: int
    documents: int = Field(description="That the index holds now.")
    charge: int = Field(description="Compute units for the embeddings, as in the ledger.")

    @classmethod
    def of(cls, put: service.Put) -> DocumentsPut:
        return cls(
            added=put.added,
            replaced=put.replaced,
            unchanged=put.unchanged,
            documents=put.info.documents,
            charge=put.charge,
        )


class DocumentIds(Taken):
    model_config = example(ids=["case-1"])

    ids: list[DocumentId] = Field(min_length=1, max_length=PUT_AT_ONCE)


class DocumentsDeleted(Answer):
    deleted: int
    documents: int


class DocumentAnswer(Answer):
    id: str
    text: str
    facts: dict[str, Any]

    @classmethod
    def of(cls, document: Document) -> DocumentAnswer:
        return cls(id=document.id, text=document.text, facts=json.loads(document.facts))


class DocumentPage(Answer):
    items: list[DocumentAnswer]
    next: str | None = Field(description="The `after` of the next page; null at the end.")


class Query(Taken):
    model_config = example(query="broken street lamp", limit=10)

    query: str = Field(min_length=1, max_length=2_000)
    limit: int = Field(10, ge=1, le=200)
    mode: service.Mode | None = Field(
        None, description="Default: `hybrid`, or `keywords` where the index has no model."
    )


class HitAnswer(DocumentAnswer):
    score: float = Field(
        description="What hits are ordered by: BM25 (`keywords`), the cosine (`vectors`), or the "
        "sum of 1/(60 + rank) over both lists (`hybrid`)."
    )
    keyword_rank: int | None
    keyword_score: float | None
    vector_rank: int | None
    cosine: float | None


class SearchAnswer(Answer):
    items: list[HitAnswer]
    mode: service.Mode
    charge: int = Field(description="Compute units for the query's embedding.")

    @classmethod
    def of(cls, answer: service.Answer) -> SearchAnswer:
        return cls(
            items=[
                HitAnswer(
                    **dict(DocumentAnswer.of(one.document)),
                    score=one.hit.score,
                    keyword_rank=one.hit.keyword_rank,
                    keyword_score=one.hit.keyword_score,
                    vector_rank=one.hit.vector_rank,
                    cosine=one.hit.cosine,
                )
                for one in answer.found
            ],
            mode=answer.mode,
            charge=answer.charge,
        )
