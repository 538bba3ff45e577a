"""Bodies about MLflow: importing from it, and what people propose there."""

from __future__ import annotations

from pydantic import Field

from plaza_core.ids import ModelId
from plaza_core.table import Visibility
from plaza_core.tracking import Lineage
from plaza_core.tracking import Proposal as Found
from plaza_serving.control.patterns import NAME
from plaza_serving.control.shapes.base import Answer, Taken, example
from plaza_serving.control.shapes.models import Promotion
from plaza_serving.control.shapes.uploads import Registered


class Import(Taken):
    model_config = example(source="models:/road-cars/3", name="road-cars", project="cameras")

    source: str = Field(
        min_length=1,
        max_length=600,
        description="`models:/NAME/VERSION`, `models:/NAME@ALIAS` or `runs:/RUN/PATH`, in the "
        "MLflow that the hub is configured with.",
    )
    name: str | None = Field(
        None, pattern=NAME, description="Default: MLflow's, made a name of the hub."
    )
    project: str | None = Field(None, pattern=NAME, description="As for an upload.")
    visibility: Visibility | None = Field(
        None, description="Who may call the model. Default: as it is; a new one its project."
    )


class ImportedVersion(Registered):
    lineage: Lineage = Field(description="Where it comes from, as MLflow says.")


class Proposal(Answer):
    """An alias that somebody moved in MLflow."""

    id: str
    model: ModelId
    name: str
    alias: str
    version: int | None = Field(
        description="What it should mean; null: it was deleted there, or points at what is no "
        "version here."
    )
    number: int | None = Field(
        description="MLflow's number of that version; null: the alias was deleted there."
    )
    present: int | None = Field(description="What the alias meant here when it was seen.")
    state: str
    seen_unix_us: int
    decided_unix_us: int | None
    decided_by: str | None

    @classmethod
    def of(cls, found: Found) -> Proposal:
        return cls.model_validate(found, from_attributes=True)


class Accepted(Answer):
    """`promotion` says where the version answers now; null where an alias was taken away."""

    proposal: Proposal
    promotion: Promotion | None
