"""Sets up Keras's backend: device, precision, threads, determinism. Called before anything is built."""

import contextlib
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from cct.errors import CCTError
from cct.runtime.machine import cpu_cores, cpu_info
from cct.runtime.params import RuntimeParams


def configure_backend(runtime: RuntimeParams, *, seed: int) -> dict[str, Any]:
    """Set up Keras and its backend, once, before any layer is built.

    Returns:
        The kind of machine that computes: with equal ones, equal runs give equal bytes (see `cct.runtime.machine`).

    Raises:
        CCTError: the backend is not installed, or a GPU is asked for and none is there.
    """
    threads = runtime.threads or cpu_cores()
    _environment(runtime, threads)
    with _hushed():
        try:
            import keras

            gpus = SET_UP[runtime.backend](runtime, threads)
        except ModuleNotFoundError as error:
            raise CCTError(
                f"runtime.backend = '{runtime.backend}', but {error.name} is not installed: make setup "
                f"EXTRA={runtime.backend}, or set runtime.backend to tensorflow"
            ) from error
        if runtime.device == "gpu" and not gpus:
            raise CCTError(
                f"runtime.device = 'gpu', but {runtime.backend} sees no GPU. Install its CUDA libraries (README, On a "
                "GPU) and check nvidia-smi, or set runtime.device to auto or cpu."
            )
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(runtime.precision)
    return {
        "backend": runtime.backend,
        "backend_version": version(runtime.backend),
        "keras": keras.version(),
        "numpy": version("numpy"),
        "python": platform.python_version(),
        "precision": runtime.precision,
        "deterministic": runtime.deterministic,
        "threads": threads,
        "gpus": gpus,
        "cpu_flags": cpu_info()["flags"],
    }


def describe_platform(kind: dict[str, Any]) -> str:
    """One line that says where the numbers are computed."""
    place = f"GPU ({', '.join(kind['gpus'])})" if kind["gpus"] else f"CPU ({kind['threads']} threads)"
    versions = f"{kind['backend']} {kind['backend_version']}, keras {kind['keras']}, python {kind['python']}"
    return f"{versions}: {place}, {kind['precision']}"


@contextlib.contextmanager
def determinism_explained(runtime: RuntimeParams) -> Iterator[None]:
    """Turn a backend's refusal to compute something deterministically into one clear error.

    Raises:
        CCTError: an operation in the block has no deterministic form.
    """
    try:
        yield
    except Exception as error:
        line = next((line for line in str(error).splitlines() if re.search("determinis", line, re.IGNORECASE)), None)
        if not runtime.deterministic or line is None or isinstance(error, CCTError):
            raise
        raise CCTError(
            f"{runtime.backend} cannot compute this deterministically ({line.strip()[:200]}): set "
            "runtime.deterministic to false, with which equal runs need not give equal bytes, or runtime.device to cpu"
        ) from error


def jit_compile(runtime: RuntimeParams) -> bool:
    """Whether XLA compiles a step.

    Always for JAX, never for PyTorch. For TensorFlow on a GPU only: on a CPU it halves the speed of the tokenizer,
    whose max-pooling has a slow gradient there.
    """
    if runtime.backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_logical_devices("GPU"))
    return runtime.backend == "jax"


def _environment(runtime: RuntimeParams, threads: int) -> None:
    """What the backends read when they are imported."""
    os.environ["KERAS_BACKEND"] = runtime.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if runtime.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["NPROC"] = str(threads)  # the size of JAX's thread pool on a CPU
    if runtime.deterministic:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # PyTorch asks for it


def _tensorflow(runtime: RuntimeParams, threads: int) -> list[str]:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    if runtime.deterministic:
        tf.config.experimental.enable_op_determinism()
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]


def _jax(runtime: RuntimeParams, threads: int) -> list[str]:
    import jax

    return [device.device_kind for device in jax.devices() if device.platform == "gpu"]


def _torch(runtime: RuntimeParams, threads: int) -> list[str]:
    import torch

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(runtime.deterministic)
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


# Each sets up a backend and returns the names of the GPUs that it sees.
SET_UP = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Hold back what C++ code writes to stderr, and let it out only if the block fails.

    While they are imported TensorFlow and JAX write lines that no setting silences and that would hide our own.
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
