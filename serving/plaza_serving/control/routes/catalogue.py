"""The catalogue: search, tags, and who may call a model."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from plaza_core.principal import Principal, Right, TenantScope
from plaza_core.table import ModelEntry, RequestState, Visibility
from plaza_serving.control.guard import needs
from plaza_serving.control.parts import Hub, Parts
from plaza_serving.control.routes.uploads import ActingFor, Engineer
from plaza_serving.control.shapes.base import Items
from plaza_serving.control.shapes.models import (
    GuestList,
    PublicationState,
    PublishNote,
    Rejection,
    TagChange,
    TagList,
    VisibilityChoice,
)
from plaza_tenancy.search import Filters, Page
from plaza_tenancy.visibility import Guest, PublishRequest

router = APIRouter(prefix="/api/v1", tags=["catalogue"])

Reader = Annotated[Principal, needs(Right.MODELS_READ)]
Publisher = Annotated[Principal, needs(Right.MODELS_PUBLISH)]
Operator = Annotated[Principal, needs(Right.MODELS_PUBLISH, operator=True)]


@router.get("/catalogue", summary="Search models")
def search_models(
    *,
    hub: Hub,
    who: Reader,
    q: Annotated[str, Query(max_length=200, description="Words; each must be found.")] = "",
    family: str | None = None,
    tag: Annotated[list[str] | None, Query(description="Repeatable; each must be there.")] = None,
    visibility: Visibility | None = None,
    publisher: Annotated[str | None, Query(description="Whose model: an organisation.")] = None,
    after: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    organisation: ActingFor = None,
) -> Page:
    """Models that the key may call, by name, tags, family and card; its own first."""
    return hub.tenancy.search.find(
        hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation),
        q,
        filters=Filters(family, tag or (), visibility, publisher),
        after=after,
        limit=limit,
    )


@router.patch("/models/{name}/tags", summary="Tag a model")
def tag_model(
    hub: Hub, who: Engineer, name: str, body: TagChange, organisation: ActingFor = None
) -> TagList:
    scope = _scope(hub, who, Right.MODELS_WRITE, organisation)
    return TagList(tags=hub.tenancy.search.tag(scope, name, add=body.add, remove=body.remove))


@router.put("/models/{name}/visibility", summary="Say who may call a model")
def set_visibility(
    hub: Hub, who: Engineer, name: str, body: VisibilityChoice, organisation: ActingFor = None
) -> ModelEntry:
    """`shared` needs the right to publish. `public` is for operators; others ask for it."""
    scope = _scope(hub, who, Right.MODELS_WRITE, organisation)
    return hub.tenancy.visibility.set(scope, name, body.visibility)


@router.get("/models/{name}/guests", summary="List whom a model is shared with")
def list_guests(hub: Hub, who: Reader, name: str, organisation: ActingFor = None) -> Items[Guest]:
    """For the model's own organisation."""
    scope = _scope(hub, who, Right.MODELS_READ, organisation)
    return Items(items=hub.tenancy.visibility.guests(scope, name))


@router.post("/models/{name}/guests", summary="Share a model with organisations")
def share_model(
    hub: Hub, who: Publisher, name: str, body: GuestList, organisation: ActingFor = None
) -> ModelEntry:
    """They may call it from the next table on. The model becomes `shared`."""
    scope = _scope(hub, who, Right.MODELS_PUBLISH, organisation)
    return hub.tenancy.visibility.share(scope, name, body.organisations)


@router.delete("/models/{name}/guests/{guest}", summary="Share a model no more")
def unshare_model(
    hub: Hub, who: Engineer, name: str, guest: str, organisation: ActingFor = None
) -> ModelEntry:
    scope = _scope(hub, who, Right.MODELS_WRITE, organisation)
    return hub.tenancy.visibility.unshare(scope, name, guest)


@router.post("/models/{name}/publish", summary="Ask for a model to be public")
def publish_model(
    hub: Hub, who: Publisher, name: str, body: PublishNote, organisation: ActingFor = None
) -> PublicationState:
    """An operator decides; an operator who asks has decided."""
    scope = _scope(hub, who, Right.MODELS_PUBLISH, organisation)
    done = hub.tenancy.visibility.publish(scope, name, note=body.note)
    request = None if done.request is None else done.request.id
    return PublicationState(public=done.model.visibility is Visibility.PUBLIC, request=request)


@router.get("/catalogue/requests", summary="List requests to publish")
def list_requests(
    hub: Hub,
    who: Reader,
    state: RequestState | None = RequestState.PENDING,
    organisation: ActingFor = None,
) -> Items[PublishRequest]:
    """Operators see all of them, everybody else their own organisation's."""
    scope = (
        hub.tenancy.platform(who, Right.MODELS_READ)
        if who.operator and organisation is None
        else _scope(hub, who, Right.MODELS_READ, organisation)
    )
    return Items(items=hub.tenancy.visibility.requests(scope, state))


@router.post("/catalogue/requests/{request}/approve", summary="Make a model public")
def approve_request(hub: Hub, who: Operator, request: str) -> PublishRequest:
    """For operators. Versions that come later are public as well."""
    scope = hub.tenancy.platform(who, Right.MODELS_PUBLISH)
    return hub.tenancy.visibility.approve(scope, request)


@router.post("/catalogue/requests/{request}/reject", summary="Refuse to make a model public")
def reject_request(hub: Hub, who: Operator, request: str, body: Rejection) -> PublishRequest:
    """For operators."""
    scope = hub.tenancy.platform(who, Right.MODELS_PUBLISH)
    return hub.tenancy.visibility.reject(scope, request, reason=body.reason)


def _scope(hub: Parts, who: Principal, right: Right, organisation: str | None) -> TenantScope:
    return hub.tenancy.scope(who, right, organisation=organisation)
