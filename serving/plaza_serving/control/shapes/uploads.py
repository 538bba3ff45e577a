"""Bodies of the routes by which bundles arrive."""

from __future__ import annotations

from pydantic import Field

from plaza_core.ids import Digest, ModelId
from plaza_core.running import Examination
from plaza_core.table import Visibility
from plaza_core.tracking import Lineage
from plaza_registry.register import Registered as Outcome
from plaza_serving.control.fleet import Publication
from plaza_serving.control.patterns import NAME
from plaza_serving.control.shapes.base import Answer, Taken, example


class UploadBegun(Answer):
    upload: str


class FileStored(Answer):
    path: str
    size: int
    sha256: Digest


class Commit(Taken):
    model_config = example(name="road-cars", project="cameras", visibility="organisation")

    name: str | None = Field(None, pattern=NAME, description="Default: the manifest's name.")
    project: str | None = Field(
        None,
        pattern=NAME,
        description="Default: the key's project, or the only one of the organisation.",
    )
    visibility: Visibility | None = Field(
        None, description="Who may call the model. Default: as it is; a new one its project."
    )
    run: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="The run of MLflow that trained it; its experiment and metrics go along.",
    )
    experiment: str | None = Field(
        None, max_length=200, description="Its experiment, where that MLflow is not the hub's."
    )

    def lineage(self) -> Lineage | None:
        """None where nothing is said of it."""
        if self.run is None and self.experiment is None:
            return None
        return Lineage(run=self.run or "", experiment=self.experiment or "")


class ExaminationReport(Answer):
    """What the sandboxed child found."""

    passed: bool
    reason: str
    provider: str
    runtime: str
    nodes: dict[str, int]
    peak_bytes: int
    run_us: int
    rule: str | None = Field(None, description="Of a refusal: the stable id of its rule.")
    node: str | None = Field(None, description="Of a refusal: the node it speaks of, if one.")

    @classmethod
    def of(cls, found: Examination) -> ExaminationReport:
        return cls.model_validate(found, from_attributes=True)


class Registered(Answer):
    model: ModelId
    name: str
    version: int
    digest: Digest
    created: bool = Field(description="False when this digest was a version already.")
    tracked: bool = Field(description="Whether MLflow knows of it yet; if not, it will.")
    why_not_tracked: str | None = Field(None, description="Why MLflow does not know of it yet.")
    examination: ExaminationReport
    published_on: list[str] = Field(description="Replicas that know the version.")
    waiting_for: list[str] = Field(description="Replicas that do not know it yet.")
    failed_on: dict[str, str] = Field(description="Replicas that could not open it: error codes.")

    @classmethod
    def of(cls, outcome: Outcome, where: Publication) -> Registered:
        version = outcome.version
        return Registered(
            model=version.model,
            name=version.name,
            version=version.version,
            digest=version.digest,
            created=outcome.created,
            tracked=outcome.tracked,
            why_not_tracked=outcome.why_not,
            examination=ExaminationReport.of(outcome.examination),
            published_on=list(where.published_on),
            waiting_for=list(where.waiting_for),
            failed_on=where.failed_on,
        )
