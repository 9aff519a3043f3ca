"""`.onnx` files, computed by ONNX Runtime."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cct.errors import CCTError, one_line
from cct.files import sha256_of_file
from cct.inference.exported import KEY, ExportFacts, read_facts
from cct.inference.runtimes.base import ExportedModel, read_model_file, require_package
from cct.runtime.machine import cpu_cores

log = logging.getLogger(__name__)

UNUSED = "the ONNX file beside the model is not used: %s"
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")  # whose operators ONNX Runtime itself computes


class OnnxModel(ExportedModel):
    """A model in ONNX Runtime, on the processor."""

    title = "ONNX Runtime"

    def __init__(self, path: Path) -> None:
        """Load an `.onnx` file.

        Raises:
            CCTError: it is no file that `cct export` wrote, or ONNX Runtime is not installed.
        """
        content, facts = read_onnx(path)
        super().__init__(path, facts)
        runtime = require_package("onnxruntime", "ONNX Runtime", path)
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = cpu_cores()
        # Threads that spin while they wait would take the processor from those who decode images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self.session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            (taken,), (given,) = self.session.get_inputs(), self.session.get_outputs()
        except Exception as error:  # ONNX Runtime has an exception of its own for each status
            raise CCTError(
                f"{path} cannot be computed by ONNX Runtime, so export the .keras file again: {one_line(error)}"
            ) from error
        self.input, self.input_shape, self.outputs = taken.name, tuple(taken.shape[1:]), given.shape[-1]

    def compute(self, batch: np.ndarray) -> np.ndarray:
        """As `ExportedModel.compute`."""
        return self.session.run(None, {self.input: batch})[0]


def read_onnx(path: Path) -> tuple[bytes, ExportFacts]:
    """The bytes of an `.onnx` file and its facts. Nothing is computed, and no other file is read.

    Raises:
        CCTError: it is no file that `cct export` wrote.
    """
    content = read_model_file(path)
    onnx = require_package("onnx", "onnx", path)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf has an exception of its own in each implementation
        raise CCTError(f"{path} is not an ONNX file, or is cut off: {one_line(error)}") from error
    facts = read_facts({item.key: item.value for item in model.metadata_props}.get(KEY), path)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model)):
        raise CCTError(f"{path} names other files for its weights, which cct export never does: export it again")
    foreign = sorted({name.domain for name in model.opset_import} - {*DOMAINS})
    if foreign:
        raise CCTError(
            f"{path} has operators of {one_line(ValueError(', '.join(foreign)))}, which are not ONNX's own: export the "
            ".keras file again"
        )
    return content, facts


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor in an ONNX model: weights, and constants in nodes, subgraphs and functions."""
    graphs, nodes = [model.graph], [node for function in model.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
        else:
            for attribute in nodes.pop().attribute:
                yield from (attribute.t, *attribute.tensors)
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)
                graphs.extend([attribute.g] if attribute.HasField("g") else [])
                graphs.extend(attribute.graphs)


def onnx_beside(model: Path) -> Path | None:
    """The ONNX file beside a `.keras` file, if it was made of these very bytes and has full precision.

    An ONNX file that is there but does not fit is logged as a warning, with the remedy.

    Args:
        model: the `.keras` file.

    Returns:
        The ONNX file; None if there is none that gives the same answers.
    """
    if model.suffix.lower() != ".keras":  # a folder may be ".", which has no name
        return None
    path = model.with_suffix(".onnx")
    if not (path.exists() and model.is_file()):
        return None
    try:
        _, facts = read_onnx(path)
    except CCTError as error:
        log.warning(UNUSED, error)
        return None
    if facts.model_sha256 != sha256_of_file(model):
        log.warning(UNUSED, f"{path} was made of another {model}. Run cct export again")
    elif facts.precision != "float32":
        log.warning(UNUSED, f"the precision of {path} is {facts.precision}. Name it to use it")
    else:
        return path
    return None
