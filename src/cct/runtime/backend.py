"""Sets up Keras's backend: device, precision, threads, determinism.

The runner of the stages calls `prepare_backend` before Keras is imported, because the backends read their environment
at import. A stage calls `configure_backend` before it builds a model.
"""

import contextlib
import importlib.abc
import importlib.util
import logging
import os
import platform
import re
import sys
import tempfile
import threading
import traceback
from collections.abc import Collection, Iterator
from importlib.metadata import version
from typing import Any

from cct.errors import CCTError
from cct.runtime.available import missing_gpu, missing_package
from cct.runtime.machine import SIXTEEN_BITS, cpu_cores, cpu_info, kernel_variables
from cct.runtime.params import RuntimeParams

log = logging.getLogger(__name__)

# Keras imports these if they are installed, for wrappers and previews that this project does not use, and TensorFlow
# imports JAX for a converter. With their own imports they would take a third of Keras's start.
HIDDEN_PACKAGES = ("jax", "matplotlib", "pandas", "sklearn")


def prepare_backend(runtime: RuntimeParams) -> None:
    """Set the environment that the backends read at import, and import Keras without their messages.

    Raises:
        CCTError: the backend is not installed, or the environment names another one.
    """
    chosen = os.environ.setdefault("KERAS_BACKEND", runtime.backend)
    if chosen != runtime.backend:
        raise CCTError(
            f"KERAS_BACKEND is {chosen!r}, but this command computes with {runtime.backend!r}: unset the variable "
            "(dvc repro sets it for each stage)"
        )
    _set_tensorflow_variables()
    if runtime.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["NPROC"] = str(runtime.threads or cpu_cores())  # the size of JAX's thread pool on a CPU
    if runtime.deterministic:
        flags = os.environ.get("XLA_FLAGS", "").split()
        os.environ["XLA_FLAGS"] = " ".join(dict.fromkeys([*flags, "--xla_gpu_deterministic_ops=true"]))
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # PyTorch requires it
    with _missing_backend_explained(runtime), _quick_and_quiet():
        import keras  # noqa: F401


def import_keras(trained_with: str) -> None:
    """Import Keras, without messages of its backend, to use a model outside the pipeline.

    If neither the environment nor an earlier import has chosen a backend, Keras gets the one that trained the model, or
    else another one that is installed.

    Raises:
        CCTError: no backend is installed.
    """
    if "keras" in sys.modules:
        return
    if not os.environ.get("KERAS_BACKEND"):
        wanted = dict.fromkeys(name for name in (trained_with, *BACKENDS) if name in BACKENDS)
        found = [name for name in wanted if importlib.util.find_spec(name)]
        if not found:
            raise CCTError(f"Keras needs one of {', '.join(BACKENDS)}, and none is installed: make setup")
        os.environ["KERAS_BACKEND"] = found[0]
    _set_tensorflow_variables()
    with _quick_and_quiet():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices("GPU")  # TensorFlow writes about a missing GPU when it first looks for one


@contextlib.contextmanager
def quiet_library() -> Iterator[None]:
    """Hold back what TensorFlow or another compiled library writes when it starts, unless the block fails."""
    _set_tensorflow_variables()
    with _quick_and_quiet():
        yield


def _set_tensorflow_variables() -> None:
    """Set what TensorFlow reads at import, unless the user has set it.

    TensorFlow uses oneDNN by default only on CPUs with AVX-512 VNNI, AVX-VNNI or AMX. On others it is twice as fast.
    """
    for name, value in {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "1"}.items():
        os.environ.setdefault(name, value)


def configure_backend(runtime: RuntimeParams, *, seed: int) -> dict[str, Any]:
    """Set up Keras and its backend, once, before a layer is built.

    Returns:
        The platform fingerprint. With equal fingerprints, equal runs give equal bytes (see `cct.runtime.machine`).

    Raises:
        CCTError: the backend is not installed, or a GPU is required and none is there.
    """
    prepare_backend(runtime)
    import keras

    threads = runtime.threads or cpu_cores()
    with _stderr_held_back(), _missing_backend_explained(runtime):
        gpus = BACKENDS[runtime.backend](runtime, threads)
    if runtime.device == "gpu" and not gpus:
        raise missing_gpu(runtime.backend)
    keras.utils.set_random_seed(seed)
    # A user's keras.json may have other values. These are Keras's defaults.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    cpu_flags = cpu_info()["flags"]
    precision = choose_precision(runtime.precision, cpu_flags=cpu_flags, gpu=bool(gpus))
    keras.config.set_dtype_policy(precision)
    return {
        "backend": runtime.backend,
        "backend_version": version(runtime.backend),
        "keras": keras.version(),
        "numpy": version("numpy"),
        "python": platform.python_version(),
        "precision": precision,
        "deterministic": runtime.deterministic,
        "threads": threads,
        "gpus": gpus,
        "cpu_flags": cpu_flags,
        "variables": kernel_variables(),
    }


def choose_precision(precision: str, *, cpu_flags: Collection[str], gpu: bool) -> str:
    """The precision that a run computes in. A warning says that a CPU is slow in the one that it must have.

    Args:
        precision: `runtime.precision`.
        cpu_flags: instruction sets of the CPU.
        gpu: whether a GPU computes.
    """

    def computes(type_: str) -> bool:
        return gpu or not {*SIXTEEN_BITS[type_]}.isdisjoint(cpu_flags)

    if precision == "auto":
        return "mixed_bfloat16" if computes("bfloat16") else "float32"
    type_ = precision.removeprefix("mixed_")
    if type_ in SIXTEEN_BITS and not computes(type_):
        log.warning(
            f"this CPU has no instructions for {type_}, so {precision} is several times slower than float32: set "
            "runtime.precision to auto or float32"
        )
    return precision


def describe_platform(fingerprint: dict[str, Any]) -> str:
    """One line with backend, versions, device and precision."""
    gpus, threads = fingerprint["gpus"], fingerprint["threads"]
    place = f"GPU ({', '.join(gpus)})" if gpus else f"CPU ({threads} thread{'s' * (threads > 1)})"
    backend = f"{fingerprint['backend']} {fingerprint['backend_version']}"
    return (
        f"{backend}, keras {fingerprint['keras']}, python {fingerprint['python']}: {place}, {fingerprint['precision']}"
    )


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
    """Whether XLA compiles a step: always for JAX, never for PyTorch, and for TensorFlow on a GPU.

    On a CPU, XLA halves the speed of the tokenizer, because the gradient of max-pooling is slow there.
    """
    if runtime.backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_logical_devices("GPU"))
    return runtime.backend == "jax"


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
BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}


@contextlib.contextmanager
def _missing_backend_explained(runtime: RuntimeParams) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_package(runtime.backend, error.name) from error
    except ImportError as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise CCTError(
            f"{runtime.backend} cannot be loaded ({reason}): it may have too little memory (ulimit -v), or the "
            "environment is damaged (make clean setup)"
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        settings = [frame.f_globals for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
        if settings["__name__"] != "keras.src.backend.config":
            raise
        raise CCTError(
            f"Keras refuses its settings ({error}): correct or remove {settings['_config_path']}, and unset "
            "KERAS_MAX_* variables"
        ) from error


@contextlib.contextmanager
def _quick_and_quiet() -> Iterator[None]:
    """Import Keras, or another library on TensorFlow, without what is not used and without compiled code's lines."""
    with _stderr_held_back(), _hidden({*HIDDEN_PACKAGES} - {os.environ.get("KERAS_BACKEND")}):
        yield


@contextlib.contextmanager
def _hidden(packages: Collection[str]) -> Iterator[None]:
    """Let this thread import as if `packages` were not installed. Other threads, such as MLflow's, can import them."""
    thread = threading.get_ident()

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name in packages and threading.get_ident() == thread:
                raise ModuleNotFoundError(f"{name} is hidden from this import", name=name)

    finder = Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextlib.contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Hold back C++ code's output to stderr, and show it only if the block fails.

    At import, TensorFlow and JAX write lines that no setting silences. They would hide our own lines.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(2), "wb") as stderr:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:  # not Ctrl-C, which is no failure
            held.seek(0)
            stderr.write(held.read())
            raise
        finally:
            os.dup2(stderr.fileno(), 2)
