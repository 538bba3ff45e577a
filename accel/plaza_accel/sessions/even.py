"""Which models cost the same for every input of the same size, so that past runs tell the next.

What is not listed here is not even: operators that repeat (`Loop`, `Scan`), whose output is as
large as an input says (`Range`, `Expand`, `Tile`, `Resize` …) or that work on texts. Constants are
folded before nodes are recorded, so a `Range` over constants is no longer there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from plaza_core.padding import variable
from plaza_core.tensors import BATCH_AXIS, DType, Signature

OPS: Final = frozenset(
    """
    Abs Acos Add And ArgMax ArgMin Asin Atan AveragePool BatchNormalization BiasGelu Cast Ceil Celu
    Clip Concat Conv ConvTranspose Cos Cosh CumSum DequantizeLinear Div Elu Equal Erf Exp FastGelu
    Flatten Floor FusedConv FusedGemm FusedMatMul Gather GatherElements GatherND Gelu Gemm
    GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Identity
    InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual LinearClassifier
    LinearRegressor Log LogSoftmax LRN MatMul MatMulInteger Max MaxPool Mean Min Mod Mul Neg
    Normalizer Not Or Pow PRelu QGemm QLinearConv QLinearMatMul QuantizeLinear QuickGelu Reciprocal
    ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu
    Reshape Round Scaler Selu Shape Sigmoid Sign Sin Sinh SkipLayerNormalization Slice Softmax
    Softplus Softsign Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Transpose
    TreeEnsembleClassifier TreeEnsembleRegressor Unsqueeze Where Xor
    """.split()  # noqa: SIM905 a list of a hundred literals reads worse
)


def even(signature: Signature, operators: Iterable[str]) -> bool:
    """Of a model with these operators: whether a run's cost depends on its rows alone."""
    rows = {BATCH_AXIS} if signature.batched else set()
    free = {*variable(signature.inputs)} - rows
    texts = any(spec.datatype is DType.BYTES for spec in (*signature.inputs, *signature.outputs))
    return not free and not texts and OPS.issuperset(operators)
