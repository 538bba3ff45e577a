"""The catalogue: finding a model by what it is called, tagged, is for, or says in its card."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    case,
    delete,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from plaza_core.card import read_card
from plaza_core.errors import InvalidInput, QuotaExceeded
from plaza_core.ids import ModelId, valid_name
from plaza_core.names import CHAMPION
from plaza_core.principal import TenantScope
from plaza_core.table import ModelEntry, VersionEntry, Visibility
from plaza_tenancy.catalogue import entries, tags, visible_to
from plaza_tenancy.models import as_seen, own_model
from plaza_tenancy.outbox import post_model
from plaza_tenancy.schema import ModelRow, OrganisationRow, ProjectRow, VersionRow
from plaza_tenancy.schema_registry import ModelTagRow
from plaza_tenancy.states import CALLABLE
from plaza_tenancy.store import Store

MOST_TAGS = 20
_MOST_WORDS = 8
_LONGEST_QUERY = 200
_LONGEST_TEXT = 20_000
_LONGEST_SUMMARY = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """Each that is given must fit."""

    family: str | None = None
    tags: Sequence[str] = ()
    visibility: Visibility | None = None
    organisation: str | None = None
    """Wire name of the one whose model it is."""


@dataclass(frozen=True, slots=True)
class Found:
    """One model of the catalogue, by the version that `champion` means, else its newest."""

    id: ModelId
    name: str
    organisation_name: str
    project_name: str
    visibility: Visibility
    family: str | None
    tags: list[str]
    version: int | None
    """None: no version of it may be called."""
    aliases: dict[str, int]
    summary: str
    """The first words of the card."""


@dataclass(frozen=True, slots=True)
class Page:
    """`next` continues after the last one; None at the end."""

    items: list[Found]
    next: str | None


class Search:
    def __init__(self, store: Store) -> None:
        self._store = store

    def find(
        self,
        scope: TenantScope,
        query: str = "",
        *,
        filters: Filters | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Models that the scope may call and whose texts hold every word of `query`; its own
        first, then by full name. Raises InvalidInput for a cursor that is none of ours."""
        place = _place(scope)
        conditions = [*visible_to(scope), *_words(query), *_filters(filters or Filters())]
        if after is not None:
            conditions.append(tuple_(*place) > tuple_(*map(literal, _opened(after))))
        listed = (
            select(ModelRow.id, *place)
            .join(OrganisationRow, OrganisationRow.id == ModelRow.organisation)
            .join(
                ProjectRow,
                (ProjectRow.organisation == ModelRow.organisation)
                & (ProjectRow.id == ModelRow.project),
            )
            .where(*conditions)
            .order_by(*place)
            .limit(limit + 1)
        )
        with self._store.read(scope) as session:
            rows = session.execute(listed).all()
            shown = [row[0] for row in rows[:limit]]
            items = _found(session, scope, shown)
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(items, None if last is None else _sealed(list(last[1:])))

    def tag(
        self, scope: TenantScope, name: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> list[str]:
        """The tags that a model of the scope's own then has. Raises QuotaExceeded over 20."""
        for tag in (*add, *remove):
            valid_name(tag, input="tag")
        with self._store.change(scope, "model.tag", name[:200]) as change:
            model = own_model(change, scope, name)
            before = _tags_of(change.session, model)
            after = sorted((set(before) | set(add)) - set(remove))
            if after == before:
                change.nothing_to_do()
                return before
            if len(after) > MOST_TAGS:
                raise QuotaExceeded(f"a model has at most {MOST_TAGS} tags", input="tag")
            change.before, change.after = {"tags": before}, {"tags": after}
            mine = {"organisation": model.organisation, "model": model.id}
            change.session.execute(
                delete(ModelTagRow).where(
                    ModelTagRow.organisation == model.organisation, ModelTagRow.model == model.id
                )
            )
            change.session.add_all(ModelTagRow(**mine, tag=tag) for tag in after)
            refresh_search(change.session, model)
            post_model(change, model, after)
            return after


def refresh_search(session: Session, model: ModelRow) -> None:
    """Write anew what a search of this model looks through: all its cards, the newest first."""
    session.flush()
    query = select(VersionRow.family, VersionRow.card).filter_by(
        organisation=model.organisation, model=model.id
    )
    found = session.execute(query.order_by(VersionRow.version.desc())).all()
    texts = dict.fromkeys(text for row in found for text in row)  # each once, in order
    text = " ".join([model.name, *_tags_of(session, model), *texts])
    model.search = " ".join(text.split()).casefold()[:_LONGEST_TEXT]
    session.flush()


def summary_of(card: str) -> str:
    """The first line of a card that is no title and no front matter, cut to 200 characters."""
    lines = (line.strip() for line in read_card(card).body.splitlines())
    first = next((line for line in lines if line and line[0] not in "#|-<!["), "")
    return first if len(first) <= _LONGEST_SUMMARY else f"{first[: _LONGEST_SUMMARY - 1]}…"


def _place(scope: TenantScope) -> list[SQLColumnExpression[Any]]:
    """By what the list is ordered and continued."""
    far: ColumnElement[int] = literal(0)
    if scope.organisation is not None:
        far = case((ModelRow.organisation == scope.organisation, 0), else_=1)
    return [far, OrganisationRow.name, ProjectRow.name, ModelRow.name]


def _words(query: str) -> list[ColumnElement[bool]]:
    words = query.casefold().split()
    if len(query) > _LONGEST_QUERY or len(words) > _MOST_WORDS or "\0" in query:
        raise InvalidInput(f"at most {_MOST_WORDS} words", input="q")
    columns = (ModelRow.search, ProjectRow.name, OrganisationRow.name)
    return [or_(*(column.contains(word, autoescape=True) for column in columns)) for word in words]


def _filters(filters: Filters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if filters.organisation is not None:
        found.append(OrganisationRow.name == filters.organisation)
    if filters.visibility is not None:
        found.append(ModelRow.visibility == filters.visibility)
    if filters.family is not None:
        of_model = (VersionRow.organisation == ModelRow.organisation) & (
            VersionRow.model == ModelRow.id
        )
        fits = select(VersionRow.version).where(of_model, VersionRow.family == filters.family)
        found.append(fits.exists())
    for tag in filters.tags:
        of_model = (ModelTagRow.organisation == ModelRow.organisation) & (
            ModelTagRow.model == ModelRow.id
        )
        found.append(select(ModelTagRow.tag).where(of_model, ModelTagRow.tag == tag).exists())
    return found


def _found(session: Session, scope: TenantScope, shown: Sequence[ModelId]) -> list[Found]:
    conditions = [*visible_to(scope), ModelRow.id.in_(shown)]
    tagged = tags(session, conditions)
    models = {model.id: as_seen(scope, model) for model in entries(session, conditions)}
    return [_view(session, models[each], tagged[each]) for each in shown]


def _view(session: Session, model: ModelEntry, tagged: list[str]) -> Found:
    version = _shown_version(model)
    card = ""
    if version is not None:
        query = select(VersionRow.card).filter_by(
            organisation=model.organisation, model=model.id, version=version.version
        )
        card = session.scalars(query).one()
    return Found(
        id=model.id,
        name=model.name,
        organisation_name=model.organisation_name,
        project_name=model.project_name,
        visibility=model.visibility,
        family=None if version is None else version.manifest.family,
        tags=tagged,
        version=None if version is None else version.version,
        aliases=model.aliases,
        summary=summary_of(card),
    )


def _shown_version(model: ModelEntry) -> VersionEntry | None:
    live = [version for version in model.versions if version.state in CALLABLE]
    champion = model.aliases.get(CHAMPION)
    return next((v for v in live if v.version == champion), live[-1] if live else None)


def _tags_of(session: Session, model: ModelRow) -> list[str]:
    query = select(ModelTagRow.tag).filter_by(organisation=model.organisation, model=model.id)
    return list(session.scalars(query.order_by(ModelTagRow.tag)))


def _sealed(place: list[object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _opened(cursor: str) -> tuple[int, str, str, str]:
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        place = None
    match place:
        case [0 | 1 as far, str(organisation), str(project), str(name)]:
            return far, organisation, project, name
    raise InvalidInput("this cursor is none of ours", input="after")
