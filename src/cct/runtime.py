"""Where and how numbers are computed: device, precision, threads, determinism. Called before anything is built."""

import contextlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from cct.errors import CCTError
from cct.params import Section


class RuntimeParams(Section):
    """`runtime` in `params.yaml`."""

    device: Literal["auto", "cpu", "gpu"] = Field(description="auto: the GPU if TensorFlow sees one; gpu: insist on it")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        description="mixed_*: 16-bit arithmetic over 32-bit weights"
    )
    deterministic: bool = Field(description="equal bytes for equal runs; false may be faster")
    threads: int | None = Field(ge=1, le=1024, description="CPU threads, or null for one a core")


def configure(runtime: RuntimeParams, *, seed: int) -> str:
    """Set up Keras and its backend, once, before any layer is built.

    Returns:
        One line that says where the numbers will be computed.

    Raises:
        CCTError: a GPU is asked for and none is there.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if runtime.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    with _hushed():
        import keras
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if runtime.device == "gpu" and not gpus:
            raise CCTError(
                "runtime.device = 'gpu', but TensorFlow sees no GPU. Install its CUDA libraries (make setup EXTRA=gpu) "
                "and check nvidia-smi, or set runtime.device to auto or cpu."
            )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    threads = runtime.threads or _cores()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    if runtime.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(runtime.precision)
    if gpus:
        names = ", ".join(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus)
        place = f"GPU ({names})"
    else:
        place = f"CPU ({threads} threads)"
    versions = f"tensorflow {tf.__version__}, keras {keras.version()}, python {platform.python_version()}"
    return f"{versions}: {place}, {runtime.precision}"


def _cores() -> int:
    """Cores that this process may use; macOS only tells how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Hold back what C++ code writes to stderr, and let it out only if the block fails.

    While it is imported TensorFlow writes lines that no setting silences, and they would hide our own first one.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(2), "wb") as stderr:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            stderr.write(held.read())
            raise
        finally:
            os.dup2(stderr.fileno(), 2)


def jit_compile() -> bool:
    """XLA on a GPU; not on a CPU, where it halves the speed of the tokenizer (its max-pooling gradient is slow)."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
