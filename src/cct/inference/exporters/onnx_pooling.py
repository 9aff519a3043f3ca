"""Padding before max-pooling as a part of the pooling, so that ONNX Runtime keeps convolutions in its own layout."""

from typing import Any


def fold_padding(model: Any) -> Any:
    """Let each max-pooling of an ONNX model pad by itself, where zeros are put round the outputs of a ReLU.

    ONNX pads a pooling with minus infinity. The result is the same, because no value after a ReLU is below zero and
    each window has one. A padding in between would cost two changes of the memory's layout: a quarter of a call.

    Args:
        model: an ONNX model, which is changed.

    Returns:
        The model.
    """
    import onnx
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    readers = [name for node in model.graph.node for name in node.input]
    for pooling in [node for node in model.graph.node if node.op_type == "MaxPool"]:
        pad = makers.get(pooling.input[0])
        if pad is None or pad.op_type != "Pad" or len(pad.input) != 2 or pad.input[1] not in constants:
            continue  # a third input is the value, and the default of 0 has none
        relu = makers.get(pad.input[0])
        given = {attribute.name: attribute for attribute in pooling.attribute}
        before, after = numpy_helper.to_array(constants[pad.input[1]]).reshape(2, -1)
        own = {"auto_pad", "pads", "ceil_mode"} & given.keys()
        batch_or_channels = before[:2].any() or after[:2].any()
        if relu is None or relu.op_type != "Relu" or own or batch_or_channels or readers.count(pad.output[0]) > 1:
            continue
        pooling.input[0] = pad.input[0]
        pads = [int(value) for value in (*before[2:], *after[2:])]
        pooling.attribute.append(onnx.helper.make_attribute("pads", pads))
        model.graph.node.remove(pad)
        if not any(pad.input[1] in node.input for node in model.graph.node):  # ONNX Runtime warns of unused ones
            model.graph.initializer.remove(constants[pad.input[1]])
    return model
