"""SavedModel folders, computed by TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np

from cct.errors import CCTError, one_line
from cct.inference.exported import FACTS, MAX_FACTS, read_facts
from cct.inference.runtimes.base import LARGEST, ExportedModel, require_package
from cct.runtime.backend import quiet_library

GRAPH, EXTRA = "saved_model.pb", "assets.extra"
SIGNATURE = "serving_default"
# A SavedModel is a program: TensorFlow has operators that read and write files. These are the ones of our models.
OPERATORS = {
    "AddV2", "BatchMatMulV2", "BiasAdd", "BroadcastTo", "Cast", "ConcatV2", "Const", "Conv2D", "Einsum", "Erfc",
    "ExpandDims", "Fill", "GatherV2", "Greater", "Identity", "Less", "LogicalAnd", "MatMul", "MaxPool", "Mean", "Mul",
    "Neg", "NoOp", "NotEqual", "OnesLike", "Pack", "Pad", "PadV2", "Prod", "Range", "ReadVariableOp", "RealDiv", "Relu",
    "Reshape", "ReverseV2", "Rsqrt", "SelectV2", "Shape", "Softmax", "Split", "Sqrt", "SquaredDifference", "Squeeze",
    "StatefulPartitionedCall", "StopGradient", "StridedSlice", "Sub", "Sum", "Transpose",
}  # fmt: skip
SAVERS = ("__inference__traced_save", "__inference__traced_restore")


class SavedModel(ExportedModel):
    """A model in TensorFlow."""

    title = "TensorFlow"

    def __init__(self, path: Path) -> None:
        """Load a SavedModel.

        Raises:
            CCTError: it is no folder that `cct export` wrote, or TensorFlow is not installed.
        """
        facts = path / EXTRA / FACTS
        if not (path / GRAPH).is_file():
            raise CCTError(f"{path} is a folder without {GRAPH}, so it is no SavedModel: check the path")
        text = facts.read_bytes() if facts.is_file() and facts.stat().st_size <= MAX_FACTS else None
        super().__init__(path, read_facts(text, path))
        with quiet_library():
            tf = require_package("tensorflow", "TensorFlow", path)
        _require_known_operators(path)
        try:
            with quiet_library():
                self.loaded = tf.saved_model.load(str(path))  # which owns the variables
            self.function = self.loaded.signatures[SIGNATURE]
            ((self.input, taken),) = self.function.structured_input_signature[1].items()
            ((self.output, given),) = self.function.structured_outputs.items()
            self.input_shape, self.outputs = tuple(taken.shape[1:]), given.shape[-1]
        except Exception as error:  # any error that a crafted folder causes in TensorFlow
            raise CCTError(
                f"{path} cannot be computed by TensorFlow, so export the .keras file again: {one_line(error)}"
            ) from error

    def compute(self, batch: np.ndarray) -> np.ndarray:
        """As `ExportedModel.compute`."""
        import tensorflow as tf

        return self.function(**{self.input: tf.constant(batch)})[self.output].numpy()


def operators(path: Path) -> set[str]:
    """The names of the operators in a SavedModel's functions. Nothing is computed.

    TensorFlow also writes a function that saves the weights, and one that restores them. Loading calls neither.

    Raises:
        CCTError: its graph cannot be read, or another function or an object names one of these two.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    if (path / GRAPH).stat().st_size > LARGEST:
        raise CCTError(f"{path / GRAPH} has more than {LARGEST:,} bytes, which no exported model has: check the path")
    model: Any = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((path / GRAPH).read_bytes())
    except Exception as error:  # protobuf has an exception of its own in each implementation
        raise CCTError(f"{path / GRAPH} is no SavedModel, or is cut off: {one_line(error)}") from error
    # TensorFlow runs the graph of a file without objects, which version 1 wrote, while it loads it.
    if len(model.meta_graphs) != 1 or not model.meta_graphs[0].HasField("object_graph_def"):
        raise CCTError(f"{path} is a SavedModel of TensorFlow 1, or has several graphs, which cct export never writes")
    graph = model.meta_graphs[0]
    functions = graph.graph_def.library.function
    found = {"a function that saves" for name in _named_functions(graph.object_graph_def) if name.startswith(SAVERS)}
    for node in (node for f in functions if not f.signature.name.startswith(SAVERS) for node in f.node_def):
        called = [
            name for value in node.attr.values() for name in (value.func.name, *(f.name for f in value.list.func))
        ]
        found.add("a function that saves" if any(name.startswith(SAVERS) for name in called) else node.op)
    return found


def _named_functions(objects: Any) -> set[str]:
    """The functions that the objects of a SavedModel name, such as its signatures. Loading makes them callable."""
    names = set(objects.concrete_functions)
    for node in objects.nodes:
        names.update(node.function.concrete_functions, [node.bare_concrete_function.concrete_function_name])
    return names


def _require_known_operators(path: Path) -> None:
    if unknown := sorted(operators(path) - OPERATORS):
        raise CCTError(
            f"{path} has operators that no model of this project has ({', '.join(unknown[:5])}), and a SavedModel is a "
            "program: export the .keras file again"
        )
