"""What a provider must do, as two classes of pytest tests. See the package for how to use them.

Tests that open a model are skipped, with the probe's own reason, where the provider cannot be used
on this machine: an absent device is no failure, and no pass either.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from plaza_accel.conformance import graphs
from plaza_accel.conformance.graphs import GRAPHS, MAX_BATCH, ExaminedGraph
from plaza_accel.contract.metering import DeviceClock, Metering
from plaza_accel.contract.needs import Needs
from plaza_accel.contract.provider import AcceleratorProvider, PlacedRunner
from plaza_accel.providers import cpu
from plaza_accel.sessions.options import CPU
from plaza_core.errors import (
    InvalidInput,
    InvalidTensor,
    PlazaError,
    ProviderUnavailable,
    Unavailable,
)

Open = Callable[[ExaminedGraph], PlacedRunner]


class ProviderDeclarations:
    """What a provider says of itself: needs neither its device nor its runtime."""

    provider: ClassVar[AcceleratorProvider]

    def test_it_declares_what_pools_and_certificates_ask_for(self) -> None:
        provider = self.provider
        assert isinstance(provider, AcceleratorProvider)
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", provider.name)
        assert isinstance(provider.weight, int)
        assert provider.weight >= 1
        assert isinstance(provider.static_shapes, bool)
        assert isinstance(provider.metering, Metering)
        if provider.resource is not None:
            assert provider.resource.name
            assert provider.resource.amount > 0

    def test_what_its_sandbox_must_admit_is_stated(self) -> None:
        needs = self.provider.needs
        assert isinstance(needs, Needs)
        assert needs == replace(needs)  # which refuses paths that are relative or too wide
        assert all(Path(path).is_absolute() for path in (*needs.readable, *needs.devices))
        assert needs == self.provider.needs

    def test_every_option_is_described_and_values_are_frozen(self) -> None:
        fields = self.provider.schema.model_fields
        assert [name for name, field in fields.items() if not field.description] == []
        made = self.provider.schema()
        for name in fields:
            with pytest.raises(ValidationError):
                setattr(made, name, getattr(made, name))

    def test_an_unknown_option_is_refused_by_name(self) -> None:
        """ONNX Runtime would ignore it in silence."""
        with pytest.raises(InvalidInput) as caught:
            self.provider.with_options({"no_such_option": 1})
        assert caught.value.input == "no_such_option"

    def test_the_probe_is_cheap_gives_a_reason_and_never_raises(self) -> None:
        first = self.provider.probe()  # may import the runtime
        started = time.process_time()
        again = self.provider.probe()
        assert time.process_time() - started < 0.5
        assert (first.usable, first.reason) == (again.usable, again.reason)
        assert len(first.reason) > 5
        assert bool(first.devices) == first.usable
        assert all(d.name and d.kind in {"cpu", "gpu", "npu"} for d in first.devices)


class ProviderConformance(ProviderDeclarations):
    """All of it. Subclass it, name it `Test…`, and say what is examined."""

    runs: ClassVar[frozenset[str]] = frozenset(GRAPHS)
    """Of `GRAPHS`, those that it runs whole. The others must be refused, naming a node."""

    is_cpu: ClassVar[bool] = False
    """It computes with ONNX Runtime's own CPU kernels: nothing is foreign to it."""

    rtol: ClassVar[float] = 1e-4
    atol: ClassVar[float] = 1e-5

    def lacking(self) -> ExaminedGraph:
        """A graph with an operator that it lacks."""
        return graphs.doubled_text()

    @pytest.fixture
    def here(self) -> AcceleratorProvider:
        """The provider, where it can be used."""
        probe = self.provider.probe()
        if not probe.usable:
            pytest.skip(f"'{self.provider.name}' cannot be used here: {probe.reason}")
        return self.provider

    @pytest.fixture
    def opened(self, here: AcceleratorProvider, tmp_path: Path) -> Iterator[Open]:
        """opened(graph) -> runner; closed after the test."""
        runners: list[PlacedRunner] = []

        def open_graph(graph: ExaminedGraph) -> PlacedRunner:
            directory = graph.write(tmp_path / f"bundle{len(runners)}")
            runners.append(here.open(directory, graph.manifest))
            return runners[-1]

        yield open_graph
        for runner in runners:
            runner.close()

    def test_versions_are_known_where_it_is_usable(self, here: AcceleratorProvider) -> None:
        versions = here.versions()
        assert re.search(r"\d", versions.provider)
        assert versions.runtime.startswith("onnxruntime ")

    # ── what it computes ─────────────────────────────────────────────────────────────────────────
    @pytest.mark.parametrize("name", sorted(GRAPHS))
    def test_answers_are_those_of_the_cpu_or_the_graph_is_refused(
        self, opened: Open, tmp_path: Path, name: str
    ) -> None:
        graph = GRAPHS[name]()
        if name not in self.runs:
            with pytest.raises(ProviderUnavailable) as caught:
                opened(graph)
            assert any(node in caught.value.message for node in graph.nodes)
            return
        runner = opened(graph)
        reference = cpu.provider.open(graph.write(tmp_path / "reference"), graph.manifest)
        for rows in (1, 3, MAX_BATCH):
            inputs = graph.inputs(rows, seed=rows)
            expected, answer = reference.run(inputs)["y"], runner.run(inputs)["y"]
            assert answer.dtype == expected.dtype
            np.testing.assert_allclose(answer, expected, rtol=self.rtol, atol=self.atol)
        reference.close()

    def test_placement_says_where_the_nodes_really_are(self, opened: Open) -> None:
        placement = opened(self._any()).placement
        assert sum(placement.values()) >= 1
        assert (CPU in placement) == self.is_cpu

    def test_a_node_that_it_lacks_is_named_in_the_refusal(self, opened: Open) -> None:
        if self.is_cpu:
            pytest.skip("the CPU is what the others may not fall back to")
        graph = self.lacking()
        with pytest.raises(ProviderUnavailable) as caught:
            opened(graph)
        assert any(node in caught.value.message for node in graph.nodes), caught.value.message

    # ── how it behaves ───────────────────────────────────────────────────────────────────────────
    def test_inputs_that_do_not_fit_are_refused_by_name(self, opened: Open) -> None:
        graph = self._any()
        runner = opened(graph)
        good = graph.inputs(1)["x"]
        for wrong in ({}, {"x": good.astype(np.float16)}, {"x": good[:, :1]}, {"x": good.ravel()}):
            with pytest.raises(InvalidTensor) as caught:
                runner.run(wrong)
            assert caught.value.input == "x"
        assert runner.run({"x": good})["y"].shape[0] == 1

    def test_threads_share_a_runner_and_get_their_own_answers(self, opened: Open) -> None:
        graph = self._any()
        runner = opened(graph)
        wrong = _in_threads(runner, graph, self, repeat=25)
        assert wrong == []

    def test_what_a_run_costs_is_told_in_full(self, opened: Open) -> None:
        """A provider that computes on threads of its own must not be told by the calling one."""
        graph = self._any()
        clock = DeviceClock(self.provider.metering)
        runner, device_ns = clock.meter(opened(graph))
        inputs = graph.inputs(MAX_BATCH)
        runner.run(inputs)
        told, computed = device_ns(), time.process_time_ns()
        for _ in range(200):
            runner.run(inputs)
        told, computed = device_ns() - told, time.process_time_ns() - computed
        assert told > 0
        # Half, because this process has other threads; a device's own work is not in `computed`.
        assert told > computed / 2

    def test_closing_while_it_runs_harms_nobody(self, opened: Open) -> None:
        graph = self._any()
        runner = opened(graph)
        wrong = _in_threads(runner, graph, self, repeat=400, close_after=0.02)
        assert [w for w in wrong if not isinstance(w, Unavailable)] == []
        runner.close()  # again: harmless
        with pytest.raises(Unavailable):
            runner.run(graph.inputs(1))

    def test_an_empty_batch_is_answered_or_refused_and_the_runner_lives(self, opened: Open) -> None:
        graph = self._any()
        runner = opened(graph)
        with contextlib.suppress(PlazaError):  # a refusal in Plaza's words is as good
            assert runner.run(graph.inputs(0))["y"].shape[0] == 0
        assert runner.run(graph.inputs(2))["y"].shape[0] == 2

    def test_strings_come_back_as_they_went_or_are_refused(self, opened: Open) -> None:
        graph = graphs.text()
        refused, runner = None, None
        try:
            runner = opened(graph)
        except ProviderUnavailable as error:
            refused = error.message
        if runner is None:
            assert any(node in str(refused) for node in graph.nodes), refused
            return
        inputs = graph.inputs(2)
        assert runner.run(inputs)["y"].tolist() == inputs["x"].tolist()

    def test_weights_are_weighed_before_a_model_is_opened(
        self, here: AcceleratorProvider, tmp_path: Path
    ) -> None:
        small, large = graphs.relu(), graphs.wide()
        light = here.weigh(small.write(tmp_path / "small"), small.manifest)
        heavy = here.weigh(large.write(tmp_path / "large"), large.manifest)
        assert light > 0
        assert heavy - light > 512 * 512 * 2  # half of its weights at least

    def _any(self) -> ExaminedGraph:
        """A graph that it runs."""
        return GRAPHS[min(self.runs - {"gather"})]()


def _in_threads(
    runner: PlacedRunner,
    graph: ExaminedGraph,
    examined: ProviderConformance,
    *,
    repeat: int,
    close_after: float | None = None,
) -> list[object]:
    """Four threads with inputs of their own; what was wrong: other answers, or errors."""
    given = [graph.inputs(1 + index % 3, seed=index) for index in range(4)]
    alone = [runner.run(inputs)["y"] for inputs in given]
    wrong: list[object] = []
    start = threading.Barrier(5)

    def work(index: int) -> None:
        start.wait()
        for _ in range(repeat):
            try:
                answer = runner.run(given[index])["y"]
            except PlazaError as error:
                wrong.append(error)
                return
            if not np.allclose(answer, alone[index], rtol=examined.rtol, atol=examined.atol):
                wrong.append((index, answer))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    start.wait()
    if close_after is not None:
        time.sleep(close_after)
        runner.close()
    for thread in threads:
        thread.join()
    return wrong
