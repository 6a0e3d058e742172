"""The operators that a model file may use: what networks and heads are made of, and no more.

A list of what is allowed, as a new release of ONNX may bring operators that nobody thought of here.
It holds every operator of the default domain that computes numbers from numbers, where the sizes of
the results follow from the sizes of what goes in. Left out are, above all,

- those that run other graphs, for as long as they like: If, Loop, Scan, SequenceMap;
- those that read or make strings, sequences, optional values or image files;
- those whose results change from call to call: random numbers, training;
- those whose results are as large as the pixels make them: NonZero, Compress, Unique.

The exports of one network of each family of timm and torchvision use 60 of these.
"""

from __future__ import annotations

_ELEMENTWISE = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr
    BitwiseXor Cast CastLike Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu
    Greater GreaterOrEqual HardSigmoid HardSwish Hardmax Identity IsInf IsNaN LeakyRelu Less
    LessOrEqual Log LogSoftmax Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal
    Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Sub Sum
    Swish Tan Tanh ThresholdedRelu Where Xor
"""

_LAYERS = """
    AveragePool BatchNormalization Conv ConvInteger ConvTranspose DequantizeLinear Dropout
    DynamicQuantizeLinear Einsum Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool
    GroupNormalization InstanceNormalization LRN LayerNormalization LpNormalization LpPool
    MatMul MatMulInteger MaxPool MeanVarianceNormalization QLinearConv QLinearMatMul
    QuantizeLinear RMSNormalization
"""

_SHAPES = """
    ArgMax ArgMin Concat Constant ConstantOfShape CumSum DepthToSpace Expand EyeLike Flatten
    Gather GatherElements GatherND OneHot Pad Range ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
    Reshape Resize ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze
    Tile TopK Transpose Trilu Unsqueeze
"""

FOREST = ("ai.onnx.ml", "TreeEnsembleRegressor")
"""What the head of a random forest is (`heads.export`)."""

ALLOWED = frozenset(
    {("", name) for name in (_ELEMENTWISE + _LAYERS + _SHAPES).split()}  # ONNX's default domain
    | {FOREST}
)
"""Pairs of domain and operator."""

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""What a file may import; the first two are the same."""
