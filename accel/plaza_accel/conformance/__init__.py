"""The examination of a provider, for any package that brings one. Needs pytest and onnx.

    from plaza_accel.conformance import ProviderConformance
    from my_package import provider

    class TestMine(ProviderConformance):
        provider = provider

What each class attribute says is beside it in `examination.py`; the page is docs/providers.md.
"""

from plaza_accel.conformance.examination import ProviderConformance, ProviderDeclarations
from plaza_accel.conformance.graphs import GRAPHS, ExaminedGraph

__all__ = ["GRAPHS", "ExaminedGraph", "ProviderConformance", "ProviderDeclarations"]
