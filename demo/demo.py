"""`make demo`: a hub from nothing, three organisations, one answer of each family, then it stays.

    start `plaza up` ─▶ register the shipped bundles ─▶ organisations and keys ─▶ call ─▶ draw, tell

It is an ordinary client: everything after the start goes through the SDK with a key. What it finds
from an earlier run it keeps. `--once` stops after the calls.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import plaza
from plaza_core.settings import Settings
from plaza_models.forecast.draw import fan_chart
from plaza_models.tasks import Detection, Detections, Forecast
from plaza_models.vision.draw import draw

HERE = Path(__file__).parent
BUNDLES = HERE.parent / "models" / "bundles"
INPUTS = HERE / "inputs"
SHOWN = (
    "banking-intents",
    "electricity-load-quantiles",
    "road-vehicles",
    "sentence-embedder",
    "traffic-speed-quantiles",
)
"""Of the bundles that ship; any other is registered in the same way."""
ORGANISATIONS = {
    "city-traffic": "City traffic department",
    "mobility-lab": "Mobility research laboratory",
    "citizen-service": "Citizens' service centre",
}
START_WITHIN_S = 120
STOP_WITHIN_S = 10

console = Console()


@dataclass(frozen=True, slots=True)
class Shown:
    """One call as it is told: what was asked, by whom, the answer, and how long it took."""

    task: str
    organisation: str
    answer: dict[str, Any]
    latency_ms: float
    drawn: str | None = None


class HubProcess:
    """`plaza up` as a child of its own session, so that Ctrl-C reaches it only through us."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "plaza_serving.cli", "up"], start_new_session=True
        )

    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> bool:
        """Interrupt and wait. True when it ended by itself and in time."""
        if self.alive():
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(STOP_WITHIN_S) == 0
        except subprocess.TimeoutExpired:
            self._process.kill()
            return False


def wait_until(what: str, ready: Callable[[], bool], hub: HubProcess) -> None:
    begin = time.monotonic()
    while not ready():
        if not hub.alive():
            raise SystemExit("the hub ended; its message is above")
        if time.monotonic() - begin > START_WITHIN_S:
            raise SystemExit(f"{what}: not after {START_WITHIN_S} s")
        time.sleep(0.1)


def answers_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/health/ready", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def register_bundles(admin: plaza.Client, progress: Progress) -> list[plaza.Registered]:
    """Make the bundles of the demonstration public models. The same twice is one version."""
    found = [BUNDLES / name for name in SHOWN]
    task = progress.add_task("registering models", total=len(found))
    done = []
    for directory in found:
        progress.update(task, description=f"registering {directory.name}")
        done.append(admin.models.register(directory, visibility="public"))
        progress.advance(task)
    return done


def keys_for(admin: plaza.Client, store: Path) -> dict[str, str]:
    """A key for each organisation. Keys are shown once, so the demonstration keeps its own."""
    kept: dict[str, str] = json.loads(store.read_text()) if store.exists() else {}
    known = {organisation.name for organisation in admin.orgs.list()}
    for name, title in ORGANISATIONS.items():
        if name not in known:
            admin.orgs.create(name, title=title)
            kept.pop(name, None)
        if name not in kept:
            kept[name] = admin.keys.create(name, role="consumer", label="demonstration").key
    store.touch(mode=0o600)
    store.write_text(json.dumps(kept))
    return kept


def timed(client: plaza.Client, call: Callable[[plaza.Client], Any]) -> tuple[Any, float]:
    """The answer and its latency, once the model is published (a new one needs a moment)."""
    give_up = time.monotonic() + 30
    while True:
        begin = time.perf_counter()
        try:
            answer = call(client)
            return answer, (time.perf_counter() - begin) * 1e3
        except plaza.PlazaError as error:
            not_yet = error.code in {"model_not_found", "unauthenticated", "unavailable"}
            if not not_yet or time.monotonic() > give_up:
                raise
            time.sleep(0.1)


def about(answer: Any) -> dict[str, Any]:
    timing = {name: getattr(answer.timing, name) for name in answer.timing.__slots__}
    return {"model": answer.model, "version": answer.version, "timing": timing}


def detect(client: plaza.Client, organisation: str) -> Shown:
    picture = (INPUTS / "highway.jpg").read_bytes()
    found, ms = timed(client, lambda c: c.detect(picture, model="road-vehicles"))
    drawn = HERE / "road-detections.jpg"
    boxes_found = tuple(Detection(d.label, d.score, d.box) for d in found.detections)
    drawn.write_bytes(draw(picture, Detections(found.width, found.height, boxes_found)))
    boxes = [{"label": d.label, "score": d.score, "box": list(d.box)} for d in found.detections]
    answer = {**about(found), "width": found.width, "height": found.height, "detections": boxes}
    return Shown("vision.detect", organisation, answer, ms, drawn.name)


def read_series() -> list[float]:
    lines = (INPUTS / "series.csv").read_text().splitlines()
    return [float(line.rsplit(",", 1)[-1]) for line in lines[1:]]


def forecast(client: plaza.Client, organisation: str) -> Shown:
    values = read_series()
    ahead, ms = timed(
        client, lambda c: c.forecast(values, horizon=12, model="traffic-speed-quantiles")
    )
    drawn = HERE / "speed-forecast.png"
    rows = [list(map(float, row)) for row in ahead.values]
    fan = Forecast(tuple(ahead.quantiles), tuple(tuple(row) for row in rows))
    drawn.write_bytes(
        fan_chart(
            values, fan, title="Measured speed and what comes next", unit="mph", step_seconds=300
        )
    )
    answer = {**about(ahead), "quantiles": list(ahead.quantiles), "values": rows}
    return Shown("forecast.quantile", organisation, answer, ms, drawn.name)


def sentences() -> list[str]:
    read: list[str] = json.loads((INPUTS / "sentences.json").read_text())
    return read


def classify(client: plaza.Client, organisation: str) -> Shown:
    texts = sentences()
    told, ms = timed(client, lambda c: c.classify(texts, model="banking-intents"))
    results = [
        {"text": text, "labels": [{"label": x.label, "score": x.score} for x in labels]}
        for text, labels in zip(texts, told.results, strict=True)
    ]
    return Shown("text.classify", organisation, {**about(told), "results": results}, ms)


def embed(client: plaza.Client, organisation: str) -> Shown:
    texts = sentences()
    told, ms = timed(client, lambda c: c.embed(texts, model="sentence-embedder"))
    likeness = (told.vectors @ told.vectors.T).round(3).tolist()
    answer = {
        **about(told),
        "dimension": int(told.vectors.shape[1]),
        "tokens": told.tokens,
        "cosine_similarity": likeness,
        "first_vector": told.vectors[0].round(4).tolist(),
    }
    return Shown("text.embed", organisation, answer, ms)


CALLS: tuple[tuple[str, Callable[[plaza.Client, str], Shown]], ...] = (
    ("city-traffic", detect),
    ("mobility-lab", forecast),
    ("citizen-service", classify),
    ("citizen-service", embed),
)


def tell(shown: Shown) -> None:
    console.rule(f"{shown.task}   {shown.latency_ms:.1f} ms   for {shown.organisation}")
    text = json.dumps(shown.answer, ensure_ascii=False)
    console.print(text if len(text) < 900 else text[:900] + " …", highlight=False, soft_wrap=True)
    if shown.drawn:
        console.print(f"drawn: demo/{shown.drawn}")


def curl_line(url: str, key: str) -> str:
    """A line to copy. The same request is sent here first, so that what is printed works."""
    body = json.dumps({"model": "banking-intents", "input": ["Where is my card?"], "top_k": 2})
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    path = f"{url}/v1/text/classify"
    httpx.post(path, content=body, headers=headers).raise_for_status()
    options = " ".join(f"-H '{name}: {value}'" for name, value in headers.items())
    return f"curl -s {path} {options} -d '{body}'"


def play(settings: Settings, hub: HubProcess, began: float) -> None:
    """Everything between the start and the wait for Ctrl-C."""
    url = f"http://127.0.0.1:{settings.http_port}"
    state = settings.state_dir
    wait_until("the hub", lambda: answers_ready(url), hub)
    ready = time.monotonic() - began
    key = (state / "admin.key").read_text().strip()
    addresses = {"inference": url, "control": settings.control_address}
    with (
        plaza.Client(url, control_url=settings.control_address, api_key=key) as admin,
        Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console
        ) as progress,
    ):
        models = register_bundles(admin, progress)
        keys = keys_for(admin, state / "demo-keys.json")
    told = []
    for organisation, call in CALLS:
        with plaza.Client(url, api_key=keys[organisation]) as client:
            told.append(call(client, organisation))
        tell(told[-1])
    curl = curl_line(url, keys["citizen-service"])
    document = {
        "ready_after_s": round(ready, 1),
        "addresses": addresses,
        "models": [{"name": m.name, "version": m.version, "digest": m.digest} for m in models],
        "answers": [
            {
                "task": shown.task,
                "organisation": shown.organisation,
                "latency_ms": round(shown.latency_ms, 2),
                "drawn": shown.drawn,
                "answer": shown.answer,
            }
            for shown in told
        ],
        "curl": curl,
    }
    (HERE / "answers.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    console.rule("ready")
    console.print(f"the hub was ready after {ready:.1f} s; everything is in demo/answers.json")
    for name, address in addresses.items():
        console.print(f"{name:>10}  {address}")
    console.print("try it:", style="bold")
    print(curl)  # noqa: T201 a line to copy must not be wrapped


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--once", action="store_true", help="stop after the calls")
    once = arguments.parse_args().once
    os.chdir(HERE.parent)
    enough = threading.Event()

    def interrupted(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 signal's form
        enough.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    began = time.monotonic()
    hub = HubProcess()
    failed = True
    try:
        play(Settings(), hub, began)
        failed = False
        if not once:
            console.print("Ctrl-C stops it")
            while hub.alive():
                enough.wait(1)
            failed = True
    except KeyboardInterrupt:
        pass
    finally:
        begin = time.monotonic()
        clean = hub.stop()
        console.print(f"stopped after {time.monotonic() - begin:.1f} s")
    return 1 if failed or not clean else 0


if __name__ == "__main__":
    sys.exit(main())
