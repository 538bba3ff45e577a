"""Cards of versions: read, and corrected as new revisions."""

from __future__ import annotations

from fastapi import APIRouter

from plaza_core.principal import Right
from plaza_serving.control.parts import Hub
from plaza_serving.control.routes.models import Reader
from plaza_serving.control.routes.uploads import ActingFor, Engineer
from plaza_serving.control.shapes.base import Items, VersionNumber
from plaza_serving.control.shapes.cards import CardAnswer, CardText

router = APIRouter(prefix="/api/v1/models/{name}/versions/{version}/card", tags=["models"])


@router.get("", summary="List the revisions of a card")
def list_cards(
    hub: Hub, who: Reader, name: str, version: VersionNumber, organisation: ActingFor = None
) -> Items[CardAnswer]:
    """Newest first. Revision 1 is the card that came with the bundle."""
    scope = hub.tenancy.scope(who, Right.MODELS_READ, organisation=organisation)
    return Items(items=[CardAnswer.of(c) for c in hub.tenancy.cards.list(scope, name, version)])


@router.put("", summary="Correct a card")
def set_card(
    *,
    hub: Hub,
    who: Engineer,
    name: str,
    version: VersionNumber,
    body: CardText,
    organisation: ActingFor = None,
) -> CardAnswer:
    """A new revision; the version's digest and what it answers stay as they are. The text that it
    has already changes nothing."""
    scope = hub.tenancy.scope(who, Right.MODELS_WRITE, organisation=organisation)
    return CardAnswer.of(hub.tenancy.cards.set(scope, name, version, body.text))
