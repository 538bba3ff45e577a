"""Files whose structure is the weapon; all are refused by the walk, before onnx is imported."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

from onnx import StringStringEntryProto, helper

from benchmarks import graphs
from plaza_accel.gate.rules import Rule
from tests.accel.hostile.making import (
    Case,
    branch,
    case,
    content,
    either,
    node,
    plain,
    scalar,
    with_functions,
)

TINY = graphs.tiny().model.SerializeToString()
TRUNCATED = graphs.conv().model.SerializeToString()[:-1000]


# ── local functions ──────────────────────────────────────────────────────────────────────────────
def doubling_functions() -> Case:
    """Two kilobytes that expand to 2^28 nodes."""
    bodies = {f"f{i}": [f"f{i + 1}"] * 2 for i in range(28)} | {"f28": ["Relu"]}
    return case(with_functions(bodies, "f0"), Rule.FUNCTIONS_DEPTH, "deeper than 16")


def wide_functions() -> Case:
    """Only twelve levels, eight calls on each."""
    bodies = {f"f{i}": [f"f{i + 1}"] * 8 for i in range(12)} | {"f12": ["Relu"]}
    return case(with_functions(bodies, "f0"), Rule.NODES_EXPANDED, "functions are expanded")


def function_chain() -> Case:
    """148 kB, each calling the next: overflows the stack of a recursive expander."""
    names = [f"a-link-in-a-{i}" for i in range(1801)]
    bodies = {name: [after] for name, after in itertools.pairwise(names)} | {names[-1]: ["Relu"]}
    return case(with_functions(bodies, names[0]), Rule.FUNCTIONS_DEPTH, "deeper than 16")


def function_cycle() -> Case:
    graph = with_functions({"f": ["g"], "g": ["f"]}, "f")
    return case(graph, Rule.FUNCTIONS_DEPTH, "deeper than 16")


def function_of_itself() -> Case:
    return case(with_functions({"f": ["f"]}, "f"), Rule.FUNCTIONS_DEPTH, "deeper than 16", "f#0")


def standard_function() -> Case:
    graph = with_functions({"f": ["Relu"]}, "f")
    graph.model.functions[0].domain = ""
    return case(graph, Rule.FUNCTIONS_NAME, "standard domain", "f")


def function_twice() -> Case:
    graph = with_functions({"f": ["Relu"]}, "f")
    graph.model.functions.append(graph.model.functions[0])
    return case(graph, Rule.FUNCTIONS_NAME, "twice", "f")


def many_functions() -> Case:
    graph = with_functions({f"f{i}": ["Relu"] for i in range(2001)}, "f0")
    return case(graph, Rule.FUNCTIONS_COUNT, "more than 2000")


def custom_operator_in_a_function() -> Case:
    graph = with_functions({"f": ["Relu"]}, "f")
    graph.model.functions[0].node[0].domain = "com.example.evil"
    return case(graph, Rule.OP_DOMAIN, "com.example.evil", "Relu#0")


# ── graphs ───────────────────────────────────────────────────────────────────────────────────────
def nested_graphs() -> Case:
    """If within If, twenty-five deep."""
    nodes = [helper.make_node("Identity", ["x"], ["out25"])]
    for level in range(25, 0, -1):
        inner = branch(*nodes, result=f"out{level}")
        nodes = [node("If", ["yes"], [f"out{level - 1}"], f"if{level}", then_branch=inner)]
    nodes.append(helper.make_node("Identity", ["out0"], ["y"]))
    graph = plain(*nodes, weights=[scalar("yes", True, bool)])
    return case(graph, Rule.GRAPH_DEPTH, "nested deeper than 16", "if16")


def many_nodes() -> Case:
    names = ["x", *(f"v{i}" for i in range(60_000)), "y"]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in itertools.pairwise(names)]
    return case(plain(*nodes), Rule.NODES_COUNT, "more than 50000 nodes")


def no_nodes() -> Case:
    graph = graphs.tiny()
    del graph.model.graph.node[:]
    return case(graph, Rule.GRAPH_EMPTY, "no node")


def many_parts() -> Case:
    """Nine megabytes of empty attributes, each an object in every other reader."""
    attributes = b"\x2a\x00" * 3_000_000
    body = b"\x0a" + varint(len(attributes)) + attributes
    data = TINY + b"\x3a" + varint(len(body)) + body
    return content(data, Rule.FILE_PARTS, "too many parts")


def two_graphs() -> Case:
    return content(TINY + b"\x3a\x00", Rule.FILE_FORMAT, "not an ONNX model")


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


# ── operators ────────────────────────────────────────────────────────────────────────────────────
def operator(name: str, domain: str, rule: Rule, words: str, **attributes) -> Case:
    graph = plain(node(name, ["x"], ["y"], "/block.0/evil", domain=domain, **attributes))
    graph.model.opset_import.append(helper.make_opsetid(domain, 1))
    return case(graph, rule, words, "/block.0/evil")


def native_code(**attributes) -> Case:
    return operator("EPContext", "com.microsoft", Rule.OP_NATIVE, "native code", **attributes)


def hidden_native_code() -> Case:
    inner = node("EPContext", ["x"], ["c"], "inner", domain="com.microsoft", embed_mode=1)
    graph = either(branch(inner))
    graph.model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return case(graph, Rule.OP_NATIVE, "native code", "inner")


def opset(version: int) -> Case:
    graph = graphs.tiny()
    graph.model.opset_import[0].version = version
    return case(graph, Rule.OPSET, f"operator set {version}")


def no_opset() -> Case:
    graph = graphs.tiny()
    graph.model.opset_import[0].domain = "com.microsoft"
    graph.model.opset_import[0].version = 1
    return case(graph, Rule.OPSET, "imports no operator set")


def training() -> Case:
    graph = graphs.tiny()
    graph.model.training_info.add()
    return case(graph, Rule.TRAINING, "training information")


# ── metadata ─────────────────────────────────────────────────────────────────────────────────────
def metadata(key: str, text: str, rule: Rule, words: str) -> Case:
    graph = graphs.tiny()
    graph.model.metadata_props.append(StringStringEntryProto(key=key, value=text))
    return case(graph, rule, words)


def runtime_settings() -> Case:
    """Would have ONNX Runtime start 64 threads and write a file, were it to look."""
    settings = '{"session_options": {"intra_op_num_threads": 64, "enable_profiling": 1}}'
    return metadata("ort_config", settings, Rule.METADATA_CONFIG, "settings for ONNX Runtime")


def vast_description() -> Case:
    graph = graphs.tiny()
    graph.model.graph.node[0].doc_string = "a" * (33 << 20)
    return case(graph, Rule.METADATA_SIZE, "descriptions", "Gemm#0")


# ── other formats under the name ─────────────────────────────────────────────────────────────────
class _Evil:
    def __reduce__(self):
        return print, ("executed",)


def other(data: bytes) -> Callable[[], Case]:
    return lambda: content(data, Rule.FILE_FORMAT, "not an ONNX model")


def checkpoint() -> bytes:
    """As torch writes them: a zip with a pickle inside."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Evil()))
    return made.getvalue()


def instead(make: Callable[[Path], object], words: str) -> Case:
    """Something that is not a file, in the model's place."""

    def replace(directory):
        path = directory / "model.onnx"
        path.unlink()
        make(path)

    return content(TINY, Rule.FILE_KIND, words, replace)


GRAPHS: dict[str, Callable[[], Case]] = {
    "doubling functions": doubling_functions,
    "wide functions": wide_functions,
    "function chain": function_chain,
    "function cycle": function_cycle,
    "function of itself": function_of_itself,
    "function in a standard domain": standard_function,
    "function twice": function_twice,
    "many functions": many_functions,
    "custom operator in a function": custom_operator_in_a_function,
    "nested graphs": nested_graphs,
    "many nodes": many_nodes,
    "no nodes": no_nodes,
    "many parts": many_parts,
    "two graphs": two_graphs,
    "custom domain": lambda: operator(
        "Anything", "com.example.evil", Rule.OP_DOMAIN, "com.example.evil"
    ),
    "markup as a domain": lambda: operator("Anything", "<script>\n", Rule.OP_DOMAIN, "?script??"),
    "EPContext of a file": lambda: native_code(ep_cache_context="../../etc/passwd", embed_mode=0),
    "EPContext inside": lambda: native_code(ep_cache_context=b"\x7fELF" * 100, embed_mode=1),
    "EPContext in a branch": hidden_native_code,
    "operator left out": lambda: operator(
        "MatMulNBits", "com.microsoft", Rule.OP_LIST, "'MatMulNBits'"
    ),
    "operator of a long name": lambda: operator("A" * 5000, "", Rule.OP_NAME, "longer than 256"),
    "future operators": lambda: opset(99),
    "ancient operators": lambda: opset(1),
    "no operators": no_opset,
    "training information": training,
    "giant metadata": lambda: metadata("k", "v" * 100_000, Rule.METADATA_SIZE, "64 kB"),
    "settings in the metadata": runtime_settings,
    "vast description": vast_description,
    "empty": lambda: content(b"", Rule.FILE_KIND, "content"),
    "text": other(b"not a model at all\n" * 50),
    "zeros": other(bytes(4096)),
    "truncated": other(TRUNCATED),
    "trailing garbage": other(TINY + b"\xff" * 64),
    "hidden archive": other(TINY + b"\xfa\x3f\x64" + b"PK\x03\x04" * 25),
    "pickle": other(pickle.dumps(_Evil())),
    "zip": other(checkpoint()),
    "gzip": other(gzip.compress(TINY)),
    "link": lambda: instead(lambda path: path.symlink_to("/etc/passwd"), "file of the bundle"),
    "pipe": lambda: instead(os.mkfifo, "not a file"),
    "directory": lambda: instead(os.mkdir, "not a file"),
}
