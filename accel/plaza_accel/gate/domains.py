"""Which operators a model may use: an allow-list, because ONNX Runtime has none of its own.

The standard domains are whole. Of ONNX Runtime's own domain only what exporters and quantisers
commonly leave in a model; left out are those that read files (EPContext), take pre-packed weights
(MatMulNBits, MoE) or hold whole generation loops, which had most of the reported memory faults.
"""

from __future__ import annotations

from typing import Final

MICROSOFT: Final = "com.microsoft"

OPSETS: Final[dict[str, tuple[int, int]]] = {
    "": (7, 27),
    "ai.onnx.ml": (1, 5),
    MICROSOFT: (1, 1),
}
"""Domain -> oldest and newest operator set that the pinned ONNX Runtime has released."""

MICROSOFT_OPERATORS: Final = frozenset(
    {
        "Attention",
        "BiasGelu",
        "BiasSoftmax",
        "DequantizeLinear",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "EmbedLayerNormalization",
        "FastGelu",
        "FusedConv",
        "FusedGemm",
        "FusedMatMul",
        "Gelu",
        "GroupQueryAttention",
        "MatMulIntegerToFloat",
        "MultiHeadAttention",
        "QAttention",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QuantizeLinear",
        "QuickGelu",
        "RotaryEmbedding",
        "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization",
    }
)
