"""The reasons for ONNX Runtime's knobs, measured: what each costs and gains on this machine.

One thread, in this process; variants alternate, so that whatever else the machine does meets all of
them. `load`: opening with and without a saved optimised graph, its checksum included. `binding`:
`run` against IOBinding into kept outputs. `spinning`, `threads`, `pattern`, `arenas`: as they say.
What was decided on these numbers is in `docs/decisions/0026-knobs.md`.

    python -m benchmarks.knobs [load binding spinning threads pattern arenas]
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as _state
from rich.console import Console
from rich.table import Table

from benchmarks import graphs
from plaza_accel.providers.cpu import provider
from plaza_accel.sessions import arena
from plaza_accel.sessions.graph_signature import synthetic
from plaza_accel.sessions.memory import resident_bytes
from plaza_accel.sessions.options import CPU, SessionPlan
from plaza_core.manifest import MODEL_FILE, parse_manifest
from plaza_core.tensors import DType, TensorSpec

BUNDLES = Path(__file__).parents[1] / "models" / "bundles"
PLAN = SessionPlan("cpu", (CPU,), strict=False)
Feed = dict[str, Any]
Do = Callable[[], object]

console = Console(highlight=False, width=120)


def medians(blocks: int, each: int, **variants: Do) -> dict[str, float]:
    """Median µs of a call of each variant; blocks of `each` calls alternate."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(blocks):
        for name, do in variants.items():
            begun = time.perf_counter_ns()
            for _ in range(each):
                do()
            times[name].append((time.perf_counter_ns() - begun) / each / 1000)
    return {name: statistics.median(found) for name, found in times.items()}


def dense(width: int, layers: int) -> graphs.Graph:
    """Squares of weights and nothing else: 4·width²·layers bytes."""
    random = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for layer in range(layers):
        values = random.standard_normal((width, width), np.float32) / np.float32(width**0.5)
        weights.append(numpy_helper.from_array(values, f"w{layer}"))
        nodes += [
            helper.make_node("MatMul", [last, f"w{layer}"], [f"m{layer}"]),
            helper.make_node("Relu", [f"m{layer}"], [f"r{layer}"]),
        ]
        last = f"r{layer}"
    nodes.append(helper.make_node("Identity", [last], ["y"]))
    both = (TensorSpec(name, DType.FP32, ("batch", width)) for name in ("x", "y"))
    return graphs.graph("dense", nodes, [next(both)], [next(both)], weights)


def attention(width: int = 256, layers: int = 24, words: int = 32) -> graphs.Graph:
    """An encoder as exporters write it, one operator at a time: 40 nodes a layer, 73 MB."""
    random = np.random.default_rng(0)
    weights, nodes = [], []

    def weight(*shape: int) -> str:
        values = random.standard_normal(shape, np.float32) / np.float32(shape[0] ** 0.5)
        weights.append(numpy_helper.from_array(values, f"w{len(weights)}"))
        return f"w{len(weights) - 1}"

    def constant(values: Any) -> str:
        weights.append(numpy_helper.from_array(np.asarray(values), f"w{len(weights)}"))
        return f"w{len(weights) - 1}"

    def do(kind: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [f"t{len(nodes)}"], **attributes))
        return f"t{len(nodes) - 1}"

    def linear(x: str, inner: int, outer: int) -> str:
        return do("Add", do("MatMul", x, weight(inner, outer)), weight(outer))

    def heads(x: str, order: tuple[int, ...]) -> str:
        shaped = do("Reshape", x, constant(np.array([0, words, 4, width // 4])))
        return do("Transpose", shaped, perm=order)

    def normal(x: str) -> str:
        axis = constant(np.array([-1]))
        off = do("Sub", x, do("ReduceMean", x, axis))
        power = do("ReduceMean", do("Mul", off, off), axis)
        spread = do("Sqrt", do("Add", power, constant(np.float32(1e-5))))
        return do("Add", do("Mul", do("Div", off, spread), weight(width)), weight(width))

    last = "x"
    for _ in range(layers):
        query = heads(linear(last, width, width), (0, 2, 1, 3))
        key = heads(linear(last, width, width), (0, 2, 3, 1))
        value = heads(linear(last, width, width), (0, 2, 1, 3))
        score = do("Div", do("MatMul", query, key), constant(np.float32(8)))
        mixed = do("Transpose", do("MatMul", do("Softmax", score), value), perm=(0, 2, 1, 3))
        joined = do("Reshape", mixed, constant(np.array([0, words, width])))
        last = normal(do("Add", last, linear(joined, width, width)))
        wide = linear(last, width, 4 * width)
        bent = do("Erf", do("Div", wide, constant(np.float32(2**0.5))))
        gelu = do(
            "Mul",
            do("Mul", wide, do("Add", bent, constant(np.float32(1)))),
            constant(np.float32(0.5)),
        )
        last = normal(do("Add", last, linear(gelu, 4 * width, width)))
    nodes.append(helper.make_node("Identity", [last], ["y"]))
    both = (TensorSpec(name, DType.FP32, ("batch", words, width)) for name in ("x", "y"))
    return graphs.graph("attention", nodes, [next(both)], [next(both)], weights)


def session(path: Path, options: onnxruntime.SessionOptions | None = None) -> Any:
    options = options or PLAN.session_options()
    return onnxruntime.InferenceSession(path, options, providers=[CPU])._sess  # noqa: SLF001 as in accel


def load(scratch: Path) -> Table:
    table = Table(
        "model", "nodes", "MB", "as it is, ms", "optimised, ms", "its checksum, ms", "saved, ms"
    )
    paths = {path.parent.name: path for path in sorted(BUNDLES.glob("*/model.onnx"))}
    made = {
        "conv, 32 layers": graphs.conv(width=256, layers=32),
        "dense": dense(2048, 6),
        "attention, 24 layers": attention(),
    }
    paths |= {name: graph.write(scratch / name) / MODEL_FILE for name, graph in made.items()}
    for name, path in paths.items():
        kept = scratch / f"{name}.optimised.onnx"
        saving = PLAN.session_options()
        saving.optimized_model_filepath = str(kept)
        parts = session(path, saving).get_provider_graph_assignment_info()
        nodes = sum(len(part.get_nodes()) for part in parts)
        plain = PLAN.session_options()
        plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

        def check(kept: Path = kept) -> object:
            with kept.open("rb") as file:
                return hashlib.file_digest(file, "sha256")

        found = medians(
            7,
            1,
            asis=lambda path=path: session(path),
            kept=lambda kept=kept, plain=plain: session(kept, plain),
            check=check,
        )
        asis, opened, checked = (found[one] / 1000 for one in ("asis", "kept", "check"))
        table.add_row(
            name, str(nodes), f"{path.stat().st_size / 1e6:.1f}", f"{asis:.1f}", f"{opened:.1f}",
            f"{checked:.1f}", f"{asis - opened - checked:.1f}",
        )  # fmt: skip
    return table


def binding(scratch: Path) -> Table:
    table = Table("model", "output", "run, µs", "bound, µs", "bound and copied, µs")
    large = graphs.graph(
        "large",
        [helper.make_node("Expand", ["x", "to"], ["y"])],
        [TensorSpec("x", DType.FP32, ("batch", 1))],
        [TensorSpec("y", DType.FP32, ("batch", 1 << 20))],
        [numpy_helper.from_array(np.array([1, 1 << 20]), "to")],
    )
    for graph, each in ((graphs.tiny(), 2000), (graphs.conv(), 20), (large, 50)):
        opened = session(graph.write(scratch / f"bind-{graph.model.graph.name}") / MODEL_FILE)
        specs = graph.parsed().signature_spec()
        (given,), (asked,) = specs.inputs, specs.outputs
        array = synthetic(given)
        (answer,) = opened.run([asked.name], {given.name: array}, None)
        out = np.empty_like(answer)
        bound = _state.SessionIOBinding(opened)
        bound.bind_output(
            asked.name, _state.OrtDevice(0, 0, 0), out.dtype, out.shape, out.ctypes.data
        )

        def once(
            bound: Any = bound, opened: Any = opened, name: str = given.name, array: Any = array
        ) -> None:
            # The input is another one each time, so it is bound each time.
            bound.bind_input(name, array)
            opened.run_with_iobinding(bound, None)

        def copied(once: Do = once, out: Any = out) -> Any:
            once()
            return out.copy()

        feed = {given.name: array}
        found = medians(
            9,
            each,
            run=lambda opened=opened, feed=feed, name=asked.name: opened.run([name], feed, None),
            bound=once,
            copied=copied,
        )
        row = (f"{found[one]:.1f}" for one in ("run", "bound", "copied"))
        table.add_row(graph.model.graph.name, f"{out.nbytes:,} B", *row)
    return table


def spinning(scratch: Path) -> Table:
    """Two threads of a session that computes every 20 ms, with and without spinning."""
    path = graphs.conv().write(scratch / "spin") / MODEL_FILE
    table = Table("intra_op, spinning", "processor ms a request", "wall ms a request")
    for threads, spins in ((1, "0"), (2, "0"), (2, "1")):
        options = SessionPlan(
            "cpu", (CPU,), strict=False, intra_op=threads,
            entries={"session.intra_op.allow_spinning": spins},
        ).session_options()  # fmt: skip
        opened = session(path, options)
        feed = {"image": np.zeros((1, 3, 32, 32), np.float32)}
        opened.run(["scores"], feed, None)
        cpu, walls = time.process_time_ns(), []
        for _ in range(100):
            begun = time.perf_counter_ns()
            opened.run(["scores"], feed, None)
            walls.append((time.perf_counter_ns() - begun) / 1e6)
            time.sleep(0.02)
        used = (time.process_time_ns() - cpu) / 100 / 1e6
        table.add_row(f"{threads}, {spins}", f"{used:.1f}", f"{statistics.median(walls):.1f}")
    return table


def threads(scratch: Path) -> Table:
    """One session of one thread under two workers, against one of two threads under one."""
    path = graphs.conv().write(scratch / "threads") / MODEL_FILE
    table = Table("workers × intra_op", "runs a second", "processor ms a run")
    feed = {"image": np.zeros((1, 3, 32, 32), np.float32)}
    for workers, intra in ((1, 1), (2, 1), (1, 2)):
        options = SessionPlan("cpu", (CPU,), strict=False, intra_op=intra).session_options()
        opened = session(path, options)

        def work(opened: Any = opened) -> None:
            for _ in range(200):
                opened.run(["scores"], feed, None)

        crew = [threading.Thread(target=work) for _ in range(workers)]
        cpu, begun = time.process_time_ns(), time.perf_counter_ns()
        for one in crew:
            one.start()
        for one in crew:
            one.join()
        took, used = time.perf_counter_ns() - begun, time.process_time_ns() - cpu
        runs = 200 * workers
        table.add_row(
            f"{workers} × {intra}", f"{runs * 1e9 / took:.0f}", f"{used / runs / 1e6:.2f}"
        )
    return table


def pattern(scratch: Path) -> Table:
    """Memory patterns: the plan of a run's activations, kept per shape that was seen."""
    path = graphs.conv().write(scratch / "pattern") / MODEL_FILE
    table = Table("memory pattern", "µs a run", "resident MB after 400 shapes")
    feed = {"image": np.zeros((1, 3, 32, 32), np.float32)}
    wide = (BUNDLES / "banking-intents" / "model.onnx", BUNDLES / "banking-intents" / "plaza.yaml")
    opened = {}
    for on in (True, False):
        options = PLAN.session_options()
        options.enable_mem_pattern = on
        opened[on] = session(path, options)
    times = medians(
        9, 20,
        on=lambda: opened[True].run(["scores"], feed, None),
        off=lambda: opened[False].run(["scores"], feed, None),
    )  # fmt: skip
    specs = parse_manifest(wide[1].read_bytes()).signature_spec()
    for on in (True, False):
        options = PLAN.session_options()
        options.enable_mem_pattern = on
        shapes, before = session(wide[0], options), resident_bytes()
        for rows in range(1, 401):
            shapes.run(["logits"], {one.name: synthetic(one, rows) for one in specs.inputs}, None)
        grown = (resident_bytes() - before) / 1e6
        table.add_row("on" if on else "off", f"{times['on' if on else 'off']:.0f}", f"+{grown:.1f}")
    return table


def hungry() -> graphs.Graph:
    """Three tensors of 256 kB for each row, and hardly a weight."""
    nodes = [
        helper.make_node("Tile", ["x", "times"], ["wide"]),
        helper.make_node("Exp", ["wide"], ["bent"]),
        helper.make_node("Mul", ["bent", "wide"], ["both"]),
        helper.make_node("ReduceMean", ["both", "axis"], ["y"]),
    ]
    return graphs.graph(
        "hungry",
        nodes,
        [TensorSpec("x", DType.FP32, ("batch", 1024))],
        [TensorSpec("y", DType.FP32, ("batch", 1))],
        [
            numpy_helper.from_array(np.array([1, 64]), "times"),
            numpy_helper.from_array(np.array([1]), "axis"),
        ],
    )


def arenas(scratch: Path) -> Table:
    """Six models of 48 MB peak, run in turn, each on its own and in one arena; and a tiny run."""
    table = Table("arena", "resident MB of six", "tiny run, µs", "two threads, µs each")
    graph, tiny = hungry(), graphs.tiny()
    where, small = graph.write(scratch / "hungry"), tiny.write(scratch / "tiny")
    feed, one = {"x": np.zeros((64, 1024), np.float32)}, {"x": np.zeros((1, 4), np.float32)}
    for shared in (False, True):
        if shared:
            arena.share(1 << 30)
        six = [provider.open(where, graph.parsed()) for _ in range(6)]
        before = resident_bytes()
        for runner in six:
            runner.run(feed)
        grown = (resident_bytes() - before) / 1e6
        for runner in six:
            runner.close()
        pair = [provider.open(small, tiny.parsed()) for _ in range(2)]
        alone = medians(9, 5000, run=lambda pair=pair: pair[0].run(one))["run"]

        def work(runner: Any) -> None:
            for _ in range(50_000):
                runner.run(one)

        crew = [threading.Thread(target=work, args=(runner,)) for runner in pair]
        begun = time.perf_counter_ns()
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        both = (time.perf_counter_ns() - begun) / 100_000 / 1000
        name = "one, capped" if shared else "each its own"
        table.add_row(name, f"+{grown:.0f}", f"{alone:.2f}", f"{both:.2f}")
    return table


ALL: Mapping[str, Callable[[Path], Table]] = {
    one.__name__: one for one in (load, binding, spinning, threads, pattern, arenas)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", choices=[[], *ALL], default=[])
    for name in parser.parse_args().what or ALL:
        with tempfile.TemporaryDirectory() as scratch:
            console.print(f"\n[bold]{name}")
            console.print(ALL[name](Path(scratch)))


if __name__ == "__main__":
    main()
