"""Writes bundles of small models and opens them on the CPU."""

from __future__ import annotations

import pytest

from benchmarks import graphs


@pytest.fixture
def bundle(tmp_path):
    """bundle(graph) -> (directory, manifest); each call makes another directory."""
    made = 0

    def write(graph: graphs.Graph):
        nonlocal made
        made += 1
        return graph.write(tmp_path / f"bundle{made}"), graph.parsed()

    return write


@pytest.fixture
def open_cpu(bundle):
    """Open a graph on the CPU; closed after the test."""
    from plaza_accel.providers.cpu import provider

    opened = []

    def open_graph(graph: graphs.Graph, **options):
        directory, manifest = bundle(graph)
        opened.append(provider.with_options(options).open(directory, manifest))
        return opened[-1]

    yield open_graph
    for runner in opened:
        runner.close()
