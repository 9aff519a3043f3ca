"""ONNX files: Keras's exporter (tf2onnx), and ONNX Runtime's tools for float16 and int8."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cct.files import write_atomically
from cct.inference.exported import KEY
from cct.inference.exporters.base import ExportJob, lacks_operators
from cct.inference.exporters.graph import OUTPUT
from cct.inference.exporters.onnx_pooling import fold_padding
from cct.inference.runtimes.base import require_package
from cct.runtime.backend import quiet_library

OPSET = 18  # the newest of tf2onnx 1.17
CALIBRATION_BATCH = 32


def export_onnx(job: ExportJob) -> None:
    """Write an `.onnx` file.

    Raises:
        ExportError: ONNX has no operator for a part of the model.
        CCTError: a library is not installed.
    """
    for module in ("onnx", "onnxruntime", "tf2onnx"):
        require_package(module, module, job.out)
    import keras
    import onnx

    (given,) = job.model.inputs
    signature = [keras.InputSpec(shape=given.shape, dtype=given.dtype, name=given.name)]
    with tempfile.TemporaryDirectory(prefix="cct-export-") as folder, quiet_library():
        _register_erfc()
        path = Path(folder, "model.onnx")
        job.model.export(path, format="onnx", verbose=False, input_signature=signature, opset_version=OPSET)
        model = onnx.load(path)
        lacking = {node.op_type for node in model.graph.node if not onnx.defs.has(node.op_type, node.domain)}
        if not lacking:
            model = PRECISIONS[job.facts.precision](fold_padding(_named(model)), job.samples, Path(folder))
    if lacking:
        raise lacks_operators("onnx", lacking)
    onnx.helper.set_model_props(model, {KEY: job.facts.model_dump_json(exclude_none=True)})
    model.doc_string = f"calibrated probabilities of {len(job.facts.model.classes)} classes, from raw inputs"
    write_atomically(job.out, model.SerializeToString())


def _register_erfc() -> None:
    """Teach tf2onnx the operator Erfc of TensorFlow's exact GELU. ONNX has Erf, and erfc(x) = 1 - erf(x)."""
    from tf2onnx import utils
    from tf2onnx.handler import tf_op

    class Erfc:
        @classmethod
        def version_9(cls, graph: Any, node: Any, **rest: Any) -> None:
            one = graph.make_const(utils.make_name("one"), np.array(1, "float32"))
            erf = graph.make_node("Erf", [node.input[0]])
            shapes, dtypes, outputs, name = node.output_shapes, node.output_dtypes, node.output, node.name
            graph.remove_node(name)
            inputs = [one.output[0], erf.output[0]]
            graph.make_node("Sub", inputs, name=name, outputs=outputs, shapes=shapes, dtypes=dtypes)

    tf_op("Erfc")(Erfc)


def _named(model: Any) -> Any:
    """The model with names that a person can use for its output and its batch dimension."""
    (taken,), (given,) = model.graph.input, model.graph.output
    for node in model.graph.node:
        node.output[:] = [OUTPUT if name == given.name else name for name in node.output]
    given.name = OUTPUT
    for value in (taken, given):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]  # which have the former name of the dimension
    return model


def _float32(model: Any, samples: np.ndarray, folder: Path) -> Any:
    return model


def _float16(model: Any, samples: np.ndarray, folder: Path) -> Any:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=True)


def _int8(model: Any, samples: np.ndarray, folder: Path) -> Any:
    """Weights and activations of convolutions and linear layers in 8 bits. Products of two activations stay float32."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    (taken,) = model.graph.input

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = iter(np.array_split(samples, -(-len(samples) // CALIBRATION_BATCH)))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {taken.name: batch}

    constants = {tensor.name for tensor in model.graph.initializer}
    products = [node.name for node in model.graph.node if node.op_type == "MatMul" and not constants & {*node.input}]
    before, after = folder / "float32.onnx", folder / "int8.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(model), before)
    quantize_static(
        before, after, Samples(),
        quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv", "MatMul"], nodes_to_exclude=products,
        per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return onnx.load(after)


PRECISIONS = {"float32": _float32, "float16": _float16, "int8": _int8}
