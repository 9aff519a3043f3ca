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
from collections.abc import Collection, Iterator
from importlib.metadata import version
from typing import Any, NamedTuple

from cct.errors import CCTError
from cct.runtime.available import import_explained, missing_gpu
from cct.runtime.machine import SIXTEEN_BITS, cpu_cores, cpu_info, kernel_variables
from cct.runtime.params import RuntimeParams

log = logging.getLogger(__name__)

# Keras imports these if they are installed, for wrappers and previews that this project does not use, and TensorFlow
# imports JAX for a converter. With their own imports they would take a third of Keras's start.
HIDDEN_PACKAGES = ("jax", "matplotlib", "pandas", "sklearn")
BFLOAT16_CAPABILITY = (8, 0)  # Ampere, the first of NVIDIA's GPUs with arithmetic in bfloat16


class Gpu(NamedTuple):
    """The GPU that computes.

    Attributes:
        name: as the backend has it.
        capability: NVIDIA's compute capability; None if the backend does not tell it.
    """

    name: str
    capability: tuple[int, int] | None


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
        os.environ["KERAS_TORCH_DEVICE"] = "cpu"  # CUDA's variable hides neither Apple's GPUs nor Intel's
    os.environ["NPROC"] = str(runtime.threads or cpu_cores())  # the size of JAX's thread pool on a CPU
    if runtime.deterministic:
        flags = os.environ.get("XLA_FLAGS", "").split()
        os.environ["XLA_FLAGS"] = " ".join(dict.fromkeys([*flags, "--xla_gpu_deterministic_ops=true"]))
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # PyTorch requires it
    with import_explained(runtime.backend), _quick_and_quiet():
        import keras  # noqa: F401


def import_keras(trained_with: str) -> None:
    """Import Keras, without messages of its backend, to use a model outside the pipeline.

    If neither the environment nor an earlier import has chosen a backend, Keras gets the one that trained the model, or
    else another one that is installed.

    Raises:
        CCTError: no backend is installed, KERAS_BACKEND names one that is unknown or not installed, or Keras refuses
            its settings.
    """
    if "keras" in sys.modules:
        return
    backend = os.environ.get("KERAS_BACKEND") or _installed_backend(trained_with)
    if backend not in BACKENDS:
        raise CCTError(f"KERAS_BACKEND = {backend!r}: must be one of {', '.join(BACKENDS)}, or be unset")
    os.environ["KERAS_BACKEND"] = backend
    _set_tensorflow_variables()
    with import_explained(backend, setting="KERAS_BACKEND"), _quick_and_quiet():
        import keras  # noqa: F401

        if backend == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices("GPU")  # TensorFlow writes about a missing GPU when it first looks for one


def _installed_backend(preferred: str) -> str:
    """The preferred backend if it is installed, or else another one."""
    wanted = dict.fromkeys(name for name in (preferred, *BACKENDS) if name in BACKENDS)
    found = [name for name in wanted if importlib.util.find_spec(name)]
    if not found:
        raise CCTError(f"Keras needs one of {', '.join(BACKENDS)}, and none is installed: make setup")
    return found[0]


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
    with _stderr_held_back(), import_explained(runtime.backend):
        gpu = BACKENDS[runtime.backend](runtime, threads)
    if runtime.device == "gpu" and gpu is None:
        raise missing_gpu(runtime.backend)
    keras.utils.set_random_seed(seed)
    # A user's keras.json may have other values. These are Keras's defaults.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    cpu_flags = cpu_info()["flags"]
    capability = gpu.capability if gpu else None
    precision = choose_precision(runtime.precision, cpu_flags=cpu_flags, gpu=gpu is not None, capability=capability)
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
        "gpus": [gpu.name] if gpu else [],  # the one that computes; a list, as in models of earlier versions
        "cpu_flags": cpu_flags,
        "variables": kernel_variables(),
    }


def choose_precision(
    precision: str, *, cpu_flags: Collection[str], gpu: bool, capability: tuple[int, int] | None = None
) -> str:
    """The precision that a run computes in. A warning says that the machine is slow in the one that it must have.

    Args:
        precision: `runtime.precision`.
        cpu_flags: instruction sets of the CPU.
        gpu: whether a GPU computes.
        capability: its compute capability. If it is unknown, the GPU counts as one that computes in 16 bits.
    """

    def computes(type_: str) -> bool:
        if gpu:
            return type_ != "bfloat16" or capability is None or capability >= BFLOAT16_CAPABILITY
        return not {*SIXTEEN_BITS[type_]}.isdisjoint(cpu_flags)

    if precision == "auto":
        return "mixed_bfloat16" if computes("bfloat16") else "float32"
    type_ = precision.removeprefix("mixed_")
    if type_ not in SIXTEEN_BITS or computes(type_):
        return precision
    if gpu:
        log.warning(
            f"this GPU has compute capability {capability[0]}.{capability[1]}, and {type_} needs "
            f"{BFLOAT16_CAPABILITY[0]}.{BFLOAT16_CAPABILITY[1]}, so {precision} may be slower than float32 or fail: "
            "set runtime.precision to auto, float32 or mixed_float16"
        )
    else:
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


def _tensorflow(runtime: RuntimeParams, threads: int) -> Gpu | None:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:  # TensorFlow refuses memory that grows on some of them only
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    if runtime.deterministic:
        tf.config.experimental.enable_op_determinism()
    if not gpus:
        return None
    details = tf.config.experimental.get_device_details(gpus[0])
    return Gpu(details.get("device_name", gpus[0].name), details.get("compute_capability"))


def _jax(runtime: RuntimeParams, threads: int) -> Gpu | None:
    import jax

    device = jax.devices()[0]
    if device.platform != "gpu":
        return None
    numbers = re.fullmatch(r"(\d+)\.(\d+)", str(getattr(device, "compute_capability", "")))  # AMD's is as "gfx90a"
    return Gpu(device.device_kind, (int(numbers[1]), int(numbers[2])) if numbers else None)


def _torch(runtime: RuntimeParams, threads: int) -> Gpu | None:
    import torch

    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(runtime.deterministic)
    if not torch.cuda.device_count():
        return None
    # AMD's GPUs are CUDA's to PyTorch. Their numbers are no compute capability.
    return Gpu(torch.cuda.get_device_name(0), None if torch.version.hip else torch.cuda.get_device_capability(0))


# Each sets up a backend and returns the GPU that computes: the first that it sees. The others stay idle.
BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}


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
