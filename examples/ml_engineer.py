"""An ML engineer brings a model into traffic: bundle, version, canary, and back."""

# %% [markdown]
# # An ML engineer brings a model into traffic
#
#     export PLAZA_API_KEY=plz_…              # role `engineer`
#     export PLAZA_URL=… PLAZA_CONTROL_URL=…  # left out: a hub on this machine
#
# To share a model with another organisation is for admins. That cell runs where there is also
#
#     export PLAZA_ADMIN_KEY=plz_…            # role `admin`, of the same organisation
#     export PLAZA_PARTNER=their-name
#
# It needs `onnx` and the command `plaza` beside the SDK: the environment of a hub has both.

# %%
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

import plaza

T = TypeVar("T")
NAME = "berth-hours"
hub = plaza.Client()
me = hub.whoami()
print(f"{me.organisation_name}, as {me.role}")


def soon(call: Callable[[], T]) -> T:
    """Replicas learn of a new key or model within a second, and open a version on first use."""
    for _ in range(100):
        try:
            return call()
        except plaza.PlazaError as error:
            if error.code not in {"unauthenticated", "model_not_found", "unavailable"}:
                raise
            time.sleep(0.1)
    return call()


# %% [markdown]
# ## A model
#
# How many hours a ship stays at its berth, from its length and its containers: a linear fit,
# written as an ONNX graph. Yours comes from `torch.onnx.export`, `skl2onnx` or whatever you train
# with.


# %%
def fitted(seed: int, ships: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a fit to `ships` visits."""
    random = np.random.default_rng(seed)
    visits = random.uniform([80, 50], [400, 4000], (ships, 2))
    hours = visits @ [1 / 200, 1 / 120] + 2 + random.normal(0, 1, ships)
    design = np.column_stack([visits, np.ones(ships)])
    solution = np.linalg.lstsq(design, hours, rcond=None)[0].astype(np.float32)
    return solution[:2, np.newaxis], solution[2:]


def write(file: Path, weights: np.ndarray, bias: np.ndarray) -> None:
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["ship", "w", "b"], ["hours"])],
        NAME,
        [helper.make_tensor_value_info("ship", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("hours", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    save(model, file)


# %% [markdown]
# ## A bundle
#
# `plaza models init` reads the graph and writes `plaza.yaml`, a card to fill in and a sample
# beside it. The card says what the model is for and how good it is. It is kept with each version.

# %%
CARD = """---
licence: Apache-2.0
data: [{{name: simulated visits, licence: CC0-1.0}}]
metrics: {{mae_hours: {{value: {mae:.3f}, split: 1000 other visits}}}}
intended_use: Planning berths a day ahead.
---
Hours at the berth, from length and containers. Fitted to {ships} visits.
"""


def bundle(directory: Path, ships: int) -> Path:
    directory.mkdir()
    weights, bias = fitted(1, ships)
    write(directory / "model.onnx", weights, bias)
    command = [sys.executable, "-m", "plaza_serving.cli", "models", "init", "--name", NAME]
    subprocess.run([*command, directory / "model.onnx"], check=True, capture_output=True)
    others = np.random.default_rng(2).uniform([80, 50], [400, 4000], (1000, 2))
    truth = others @ [1 / 200, 1 / 120] + 2
    mae = np.abs(others @ weights[:, 0] + bias - truth).mean()
    (directory / "CARD.md").write_text(CARD.format(mae=mae, ships=ships))
    return directory


with tempfile.TemporaryDirectory() as place:
    few = bundle(Path(place, "few"), ships=20)
    many = bundle(Path(place, "many"), ships=2000)
    print("bundle:", ", ".join(sorted(path.name for path in few.iterdir())))
    first = hub.models.register(few, visibility="organisation")
    second = hub.models.register(many, visibility="organisation")
for one in (first, second):
    print(f"version {one.version}: {'new' if one.created else 'known already'}")

# %% [markdown]
# The hub opened each of them in a sandbox before it was a version. The first became `champion`.
# Registering the same bundle again gives the version that there is, so this file can be run again;
# then `champion` is pointed at the first version, to begin where you began.

# %%
hub.models.promote(NAME, first.version, force=True, why="the example begins")
for version in hub.models.versions(NAME):
    print(f"version {version.version}: {version.state}")

# %% [markdown]
# ## By number
#
# Every examined version can be called by its number, whatever the aliases mean.

# %%
ship = np.array([[300, 1200]], np.float32)
for number in (first.version, second.version):
    answer = soon(lambda number=number: hub.infer(NAME, {"ship": ship}, version=number))  # type: ignore[misc]
    print(f"version {answer.version} says {answer['hours'][0, 0]:.1f} hours")

# %% [markdown]
# ## Is it better, and does it fit?
#
# `diff` compares what callers notice, and the metrics of both cards.

# %%
change = hub.models.diff(NAME, "champion", second.version)
print("compatible for callers" if change.compatible else "breaks callers")
for metric in change.metrics:
    print(f"{metric['name']}: {metric['before']} → {metric['after']}")

# %% [markdown]
# ## A canary
#
# A quarter of the requests for `champion` go to the new version; a gate compares failures and run
# times and stops a bad one by itself. What it fails on is computed by the stable version: no
# caller sees it.

# %%
begun = hub.models.promote(NAME, second.version, canary_percent=25, why="fitted to more visits")
assert begun.rollout is not None
answered = Counter(hub.infer(NAME, {"ship": ship}).version for _ in range(60))
print("answers by version:", dict(sorted(answered.items())))
rollout = hub.rollouts.show(begun.rollout)
print(f"rollout {rollout.state}, {rollout.part / 100:g} % to version {rollout.candidate}")
for test in (rollout.verdict or {"tests": []})["tests"]:
    print(f"  {test['name']}: evidence {test['evidence']:.2f}, stops at {1 / test['level']:.0f}")

# %% [markdown]
# It looks good, so it becomes the champion for everybody. And back: a rollback needs no reason,
# but one helps whoever reads the history.

# %%
print("rollout", hub.rollouts.promote(rollout.id).state)
print("champion:", soon(lambda: hub.infer(NAME, {"ship": ship})).version)
back = hub.models.rollback(NAME, why="to show how")
print("rolled back to", back.version)
for step in hub.models.history(NAME)[:3]:
    print(f"  {step.kind}: version {step.version} {step.why}".rstrip())

# %% [markdown]
# ## The card, corrected
#
# Without a new version. What it said before is kept.

# %%
card = hub.models.cards(NAME, second.version)[0]
text = card.text.rstrip("\n") + "\nNot for tankers.\n"
if "tankers" not in card.text:
    card = hub.models.set_card(NAME, second.version, text)
print(f"card revision {card.revision} by {card.created_by}")

# %% [markdown]
# ## So that others find it

# %%
print("tags:", ", ".join(hub.models.tag(NAME, add=["harbour", "planning"])))
for found in hub.models.search("berth", tags=["harbour"]).items:
    print(f"found {found.full_name}: {found.summary}")

# %% [markdown]
# ## Shared with another organisation
#
# They call it by its full name; from `unshare` on it does not exist for them.

# %%
admin_key, partner = os.environ.get("PLAZA_ADMIN_KEY"), os.environ.get("PLAZA_PARTNER")
if admin_key and partner:
    with plaza.Client(api_key=admin_key) as admin:
        admin.models.share(NAME, [partner])
        print("shared with", ", ".join(g.organisation_name for g in admin.models.guests(NAME)))
else:
    print("not shared: that needs PLAZA_ADMIN_KEY and PLAZA_PARTNER")

# %%
hub.close()
