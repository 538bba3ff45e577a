"""The rules of the safety gate, each with an id that stays; and how a file's own words are shown.

A verdict names the rule it rests on and, where there is one, the node. Ids are part of the API:
they are stored with a version and may be matched by programs. Sentences may change.
"""

from __future__ import annotations

import string
from enum import StrEnum
from typing import Final


class Rule(StrEnum):
    """What a model can break. Read before anything heavy is imported: `file` to `external`."""

    FILE_KIND = "file.kind"
    """`model.onnx` is a plain file of the bundle, with content."""
    FILE_FORMAT = "file.format"
    """It is one ONNX model by protobuf's own rules, without a byte before, between or after."""
    FILE_PARTS = "file.parts"
    METADATA_SIZE = "metadata.size"
    METADATA_CONFIG = "metadata.config"
    """No settings for ONNX Runtime inside the model."""
    TRAINING = "training"
    GRAPH_EMPTY = "graph.empty"
    GRAPH_DEPTH = "graph.depth"
    NODES_COUNT = "nodes.count"
    NODES_EXPANDED = "nodes.expanded"
    """Nodes when every call of a local function is replaced by its body."""
    FUNCTIONS_COUNT = "functions.count"
    FUNCTIONS_DEPTH = "functions.depth"
    """Also of functions that call themselves."""
    FUNCTIONS_NAME = "functions.name"
    """Local functions have domains of their own and are defined once."""
    OPSET = "opset"
    OP_DOMAIN = "op.domain"
    OP_LIST = "op.list"
    """The operators of ONNX Runtime's own domain that are served: `domains`."""
    OP_NATIVE = "op.native"
    """No operator that carries compiled code of a device (EPContext)."""
    OP_NAME = "op.name"
    TENSOR_SIZE = "tensor.size"
    TENSOR_BYTES = "tensor.bytes"
    """A tensor has exactly as many bytes, or strings, as its shape and type say."""
    TENSOR_SPARSE = "tensor.sparse"
    EXTERNAL_KIND = "external.kind"
    """Only whole numeric weights of a graph may lie in another file."""
    EXTERNAL_KEYS = "external.keys"
    EXTERNAL_OUTSIDE = "external.outside"
    EXTERNAL_RANGE = "external.range"

    CHECKER = "checker"
    """onnx's own checker, with shape inference."""
    RUNTIME = "runtime"
    """ONNX Runtime opens and runs the model without an error."""
    SIGNATURE = "signature"
    """Graph and runs are as the manifest says."""
    PROVIDER = "provider"
    FAMILY = "family"
    """What the manifest's family reads of the bundle (labels, vocabulary) is as it should be."""
    TIME = "time"
    MEMORY = "memory"
    CRASH = "crash"
    """The examining process lives to give its verdict."""


_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "._-")
_OF_NODES: Final = _PLAIN | frozenset("/:#")
_SHOWN: Final = 64
_SHOWN_OF_NODES: Final = 128


class Refused(Exception):
    """The file breaks a rule; the text is fit for its sender to read."""

    def __init__(self, rule: Rule, text: str, node: str | None = None) -> None:
        super().__init__(text)
        self.rule = rule
        self.node = node


def printable(text: str, most: int) -> str:
    """A sentence that came from elsewhere: one line, nothing that a terminal or page obeys."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])


def shown(name: str) -> str:
    """A sender's own word, fit for any log and page: at most 64 plain characters."""
    return "".join(c if c in _PLAIN else "?" for c in name[:_SHOWN])


def shown_node(name: str) -> str:
    """A node's name, likewise; exporters write paths of modules, with slashes and colons."""
    return "".join(c if c in _OF_NODES else "?" for c in name[:_SHOWN_OF_NODES])
