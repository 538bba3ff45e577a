"""How a version is opened, and where: in this process, or in a cell because nobody vouched for it.

Trusted are models of the operating organisation and those that an admin approved for everybody
(visibility `public`). All others belong to an organisation, and what reads their bundles (session
and family alike) runs in a cell of that organisation. Without cells everything runs here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from plaza_core.errors import ProviderUnavailable, Unavailable
from plaza_core.ids import ModelId, OrganisationId
from plaza_core.manifest import Manifest
from plaza_core.names import OPERATING_ORGANISATION
from plaza_core.running import Cells, Family, Runner, RunnerFactory
from plaza_core.table import HubTable, ModelEntry, VersionEntry, Visibility

OpenFamily = Callable[[Path, Manifest], Family]


def home_of(model: ModelEntry) -> OrganisationId | None:
    """The organisation in whose cell it must run; None: it may run in the replica itself."""
    if model.visibility is Visibility.PUBLIC:
        return None
    return None if model.organisation_name == OPERATING_ORGANISATION else model.organisation


class NoCells:
    """Cells of a pool whose provider has none: what needs one is refused."""

    def __init__(self, provider: str) -> None:
        self._refusal = (
            f"'{provider}' runs no sandboxed models; an admin may approve this one for everybody "
            "(visibility public), and pools of 'cpu' run it as it is"
        )

    def weigh(self, directory: Path, entry: VersionEntry) -> int:
        raise ProviderUnavailable(self._refusal)

    def open(self, directory: Path, entry: VersionEntry, organisation: OrganisationId) -> NoReturn:
        raise ProviderUnavailable(self._refusal)

    def close(self) -> None:
        """There is nothing to end."""


class Opening:
    """`learn` and `home` on the loop, the rest on loader threads."""

    def __init__(
        self, factory: RunnerFactory, open_family: OpenFamily, cells: Cells | None = None
    ) -> None:
        self._factory = factory
        self._open_family = open_family
        self._cells = cells
        self._homes: Mapping[ModelId, OrganisationId | None] = {}

    def learn(self, table: HubTable) -> None:
        """Take note of whose models these are, before any of them is opened."""
        self._homes = {model.id: home_of(model) for model in table.models}

    def home(self, model: ModelId) -> OrganisationId | None:
        """Whose cell its versions run in. Raises Unavailable for a model of no table."""
        if self._cells is None:
            return None
        if model not in self._homes:
            raise Unavailable("this model is not in the table", input="model")
        return self._homes[model]

    def weigh(self, model: ModelId, entry: VersionEntry, directory: Path) -> int:
        if self._cells is None or self.home(model) is None:
            return self._factory.weigh(directory, entry.manifest)
        return self._cells.weigh(directory, entry)

    def open(
        self, model: ModelId, entry: VersionEntry, directory: Path
    ) -> tuple[Runner, Family, OrganisationId | None]:
        """The version, opened, and whose cell it is in."""
        home = self.home(model)
        if self._cells is not None and home is not None:
            return (*self._cells.open(directory, entry, home), home)
        family = self._open_family(directory, entry.manifest)
        return self._factory.open(directory, entry.manifest), family, None
