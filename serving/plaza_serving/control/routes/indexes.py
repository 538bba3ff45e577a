"""Search indexes: made and dropped by engineers, searched by whoever may call models.

What is in an index is its own organisation's alone: operators see that there is one and may drop
it, and neither read nor search it.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from plaza_core.errors import InvalidInput
from plaza_core.principal import Principal, Right, TenantScope
from plaza_serving.control.browser import has_session
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.routes.models import Reader
from plaza_serving.control.routes.uploads import ActingFor, only_project
from plaza_serving.control.shapes import indexes as shapes
from plaza_serving.control.shapes.base import Items

router = APIRouter(prefix="/api/v1/indexes", tags=["search"])

Writer = Annotated[Principal, needs(Right.DOCUMENTS_WRITE)]
Searcher = Annotated[Principal, needs(Right.INFER)]
EMBED = "text.embed"


@router.post("", status_code=201, summary="Make a search index")
def create_index(
    hub: Hub, who: Writer, body: shapes.NewIndex, organisation: ActingFor = None
) -> shapes.IndexAnswer:
    """With a model it answers by meaning and words, without one by words alone. The index keeps to
    one version of the model, since vectors of two cannot be compared."""
    scope = hub.tenancy.scope(who, Right.DOCUMENTS_WRITE, organisation=organisation)
    model, version = (None, None) if body.model is None else _embedder(hub, scope, body)
    project = body.project or only_project(hub, who, organisation)
    made = hub.tenancy.indexes.create(
        scope, body.name, project=project, model=model, version=version
    )
    return shapes.IndexAnswer.of(made)


@router.get("", summary="List search indexes")
def list_indexes(
    hub: Hub, who: Reader, organisation: ActingFor = None
) -> Items[shapes.IndexAnswer]:
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    return Items(items=[shapes.IndexAnswer.of(one) for one in hub.tenancy.indexes.list(scope)])


@router.get("/{index}", summary="Show a search index")
def show_index(
    hub: Hub, who: Reader, index: str, organisation: ActingFor = None
) -> shapes.IndexAnswer:
    """`index` is `name` or `project.name`."""
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    return shapes.IndexAnswer.of(hub.tenancy.indexes.get(scope, index))


@router.delete("/{index}", status_code=204, summary="Drop a search index")
def drop_index(hub: Hub, who: Writer, index: str, organisation: ActingFor = None) -> None:
    """With all its documents, for good."""
    scope = hub.tenancy.scope(who, Right.DOCUMENTS_WRITE, organisation=organisation)
    hub.tenancy.indexes.drop(scope, index)


@router.put("/{index}/documents", summary="Put documents into an index")
async def put_documents(
    hub: Hub, who: Writer, request: Request, index: str, body: shapes.Documents
) -> shapes.DocumentsPut:
    """Adds them, or replaces those with the same id: all or none. What the index holds already is
    not embedded again. Embeddings are requests to the model with the caller's key, and are charged
    also where the documents then find no room."""
    documents = [one.document() for one in body.documents]
    scope = _own(hub, who, Right.DOCUMENTS_WRITE)
    key = _key(hub, request)
    put = await hub.searching.run(scope, lambda: hub.searching.put(scope, index, documents, key))
    return shapes.DocumentsPut.of(put)


@router.post("/{index}/documents/delete", summary="Delete documents from an index")
async def delete_documents(
    hub: Hub, who: Writer, index: str, body: shapes.DocumentIds
) -> shapes.DocumentsDeleted:
    """Ids that are not in the index are passed over."""
    scope = _own(hub, who, Right.DOCUMENTS_WRITE)
    info, deleted = await hub.searching.run(
        scope, lambda: hub.searching.delete(scope, index, body.ids)
    )
    return shapes.DocumentsDeleted(deleted=deleted, documents=info.documents)


@router.get("/{index}/documents", summary="List the documents of an index")
async def list_documents(
    hub: Hub,
    who: Searcher,
    index: str,
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> shapes.DocumentPage:
    """By id. `after` is the last id of the page before."""
    scope = _own(hub, who, Right.INFER)
    found = await hub.searching.run(
        scope, lambda: hub.searching.documents(scope, index, after=after, limit=limit)
    )
    return shapes.DocumentPage(
        items=[shapes.DocumentAnswer.of(one) for one in found],
        next=found[-1].id if len(found) == limit else None,
    )


@router.post("/{index}/search", summary="Search an index")
async def search_index(
    hub: Hub, who: Searcher, request: Request, index: str, body: shapes.Query
) -> shapes.SearchAnswer:
    """By meaning and words (`hybrid`), or by one of them. Its query is embedded as a request to the
    model with the caller's key; words alone cost nothing."""
    scope, key = _own(hub, who, Right.INFER), _key(hub, request)
    answer = await hub.searching.run(
        scope,
        lambda: hub.searching.search(
            scope, index, body.query, limit=body.limit, mode=body.mode, key=key
        ),
    )
    return shapes.SearchAnswer.of(answer)


def _own(hub: Parts, who: Principal, right: Right) -> TenantScope:
    """Without a name to look up it asks no database."""
    return hub.tenancy.scope(who, right)


def _key(hub: Parts, request: Request) -> str | None:
    """The text of the key that the guard has accepted; a person's session has none."""
    if has_session(request, hub):
        return None
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    return text if kind.lower() == "bearer" and text else None


def _embedder(hub: Parts, scope: TenantScope, body: shapes.NewIndex) -> tuple[str, int]:
    assert body.model is not None
    found = hub.tenancy.records.details(scope, body.model, body.version)
    if found.entry.manifest.family != EMBED:
        raise InvalidInput(f"the model is not of the family {EMBED}", input="model")
    return found.model, found.entry.version
