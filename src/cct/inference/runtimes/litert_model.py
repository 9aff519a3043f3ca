"""`.tflite` files, computed by LiteRT."""

import hashlib
import io
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np

from cct.errors import CCTError, one_line
from cct.inference.exported import FACTS, MAX_FACTS, ExportFacts, read_facts
from cct.inference.runtimes.base import ExportedModel, read_model_file, require_package
from cct.runtime.backend import quiet_library
from cct.runtime.machine import cpu_cores


class LiteRTModel(ExportedModel):
    """A model in LiteRT, on the processor."""

    title = "LiteRT"

    def __init__(self, path: Path) -> None:
        """Load a `.tflite` file.

        Raises:
            CCTError: it is no file that `cct export` wrote, or LiteRT is not installed.
        """
        content, facts = read_litert(path)
        super().__init__(path, facts)
        litert = require_package("ai_edge_litert.interpreter", "LiteRT", path)
        try:
            with quiet_library():
                self.interpreter = litert.Interpreter(model_content=content, num_threads=cpu_cores())
                self.interpreter.allocate_tensors()
            (taken,), (given,) = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        except Exception as error:  # LiteRT raises ValueError, RuntimeError and its converter's own errors
            raise CCTError(
                f"{path} cannot be computed by LiteRT, so export the .keras file again: {one_line(error)}"
            ) from error
        self.input, self.output = taken["index"], given["index"]
        self.input_shape, self.outputs = tuple(map(int, taken["shape_signature"][1:])), int(given["shape"][-1])
        self.lock = threading.Lock()  # an interpreter holds the tensors of one call

    def compute(self, batch: np.ndarray) -> np.ndarray:
        """As `ExportedModel.compute`."""
        with self.lock:
            if tuple(self.interpreter.get_input_details()[0]["shape"]) != batch.shape:
                self.interpreter.resize_tensor_input(self.input, batch.shape)
            self.interpreter.allocate_tensors()
            self.interpreter.set_tensor(self.input, batch)
            self.interpreter.invoke()
            return self.interpreter.get_tensor(self.output)


def read_litert(path: Path) -> tuple[bytes, ExportFacts]:
    """The model in a `.tflite` file, and the facts in the archive that is appended to it.

    Raises:
        CCTError: it is no file that `cct export` wrote, or is damaged.
    """
    content = read_model_file(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            start = min(member.header_offset for member in archive.infolist())
            if archive.getinfo(FACTS).file_size > MAX_FACTS:
                raise CCTError(f"{path}: its {FACTS} unpacks to more than {MAX_FACTS:,} bytes: export it again")
            text = archive.read(FACTS)
    except (KeyError, OSError, ValueError, NotImplementedError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        text, start = None, 0  # which `read_facts` refuses
    facts = read_facts(text, path)
    # LiteRT is compiled code that trusts the offsets in a file, so that damage could end the process.
    if hashlib.sha256(content[:start]).hexdigest() != facts.content_sha256:
        raise CCTError(f"{path} is damaged: it is not the file that cct export wrote, so export it again")
    return content[:start], facts
