"""Padding that becomes a part of max-pooling computes the same, and other padding stays."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from cct.inference.exporters.onnx_pooling import fold_padding


def pooled(*, activation="Relu", pads=(0, 0, 1, 2, 0, 0, 2, 1), value=None, pooling_pads=None) -> onnx.ModelProto:
    """Activation, padding and a max-pooling of 3x3, with float images (n, 2, 7, 9)."""
    constants = [numpy_helper.from_array(np.array(pads, np.int64), "pads")]
    inputs = ["a", "pads"]
    if value is not None:
        constants.append(numpy_helper.from_array(np.array(value, np.float32), "value"))
        inputs.append("value")
    pooling = {} if pooling_pads is None else {"pads": pooling_pads}
    nodes = [
        helper.make_node(activation, ["x"], ["a"]),
        helper.make_node("Pad", inputs, ["b"]),
        helper.make_node("MaxPool", ["b"], ["y"], kernel_shape=[3, 3], strides=[2, 2], **pooling),
    ]
    taken, given = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 4) for name in "xy")
    graph = helper.make_graph(nodes, "pooled", [taken], [given], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def computed(model: onnx.ModelProto) -> np.ndarray:
    images = np.random.default_rng(0).normal(size=(3, 2, 7, 9)).astype(np.float32)
    images[0] = -1  # so that the ReLU gives zeros only
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": images})[0]


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_zeros_round_a_relu_become_the_padding_of_the_pooling():
    model = pooled()
    before = computed(model)
    assert kinds(fold_padding(model)) == ["Relu", "MaxPool"]
    assert not model.graph.initializer  # those of the padding
    onnx.checker.check_model(model)
    np.testing.assert_array_equal(computed(model), before)


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "Tanh"},  # has values below zero
        {"value": 1.0},
        {"pads": (0, 1, 1, 1, 0, 0, 1, 1)},  # pads the channels too
        {"pooling_pads": [1, 1, 1, 1]},
    ],
    ids=str,
)
def test_other_padding_stays(options):
    model = pooled(**options)
    before = computed(model)
    assert kinds(fold_padding(model))[1:] == ["Pad", "MaxPool"]
    np.testing.assert_array_equal(computed(model), before)
