"""What `runtime` asks for and this machine lacks: before the backend is imported, and while it is."""

import contextlib
import importlib.util
import platform
import traceback
from collections.abc import Iterator
from pathlib import Path

from cct.errors import CCTError
from cct.runtime.params import RuntimeParams

# Linux has one of these where it has a driver of a GPU: NVIDIA's, also in containers and on Jetson; WSL's; AMD's.
DRIVERS = (
    "/sys/module/nvidia", "/proc/driver/nvidia", "/dev/nvidiactl", "/dev/nvhost-gpu", "/dev/dxg", "/dev/kfd",
)  # fmt: skip


def unavailable(runtime: RuntimeParams) -> Iterator[CCTError]:
    """The backend if its package is not installed."""
    if importlib.util.find_spec(runtime.backend) is None:
        yield missing_package(runtime.backend, runtime.backend)


def without_driver(runtime: RuntimeParams) -> Iterator[CCTError]:
    """The GPU if it is required and Linux has no driver of one.

    `preprocess` does not ask: a cluster's login node has none, and its jobs train elsewhere.
    """
    if runtime.device == "gpu" and platform.system() == "Linux" and not any(Path(path).exists() for path in DRIVERS):
        yield missing_gpu(runtime.backend)


def missing_package(backend: str, package: str | None, *, setting: str = "runtime.backend") -> CCTError:
    """The error where a backend lacks a package, most often its own. `setting` names what chose the backend."""
    if backend == "tensorflow":  # TensorFlow has no extra
        return CCTError(f"{package} is not installed, so the environment is incomplete: run make clean setup")
    return CCTError(
        f"{setting} = '{backend}', but {package} is not installed: make setup EXTRA={backend}, or set "
        f"{setting} to tensorflow"
    )


@contextlib.contextmanager
def import_explained(backend: str, *, setting: str = "runtime.backend") -> Iterator[None]:
    """Turn a failed import of Keras or of its backend into one clear error.

    Args:
        backend: the backend.
        setting: names what chose it.

    Raises:
        CCTError: a package is absent or cannot be loaded, or Keras refuses the user's settings.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_package(backend, error.name, setting=setting) from error
    except ImportError as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise CCTError(
            f"{backend} cannot be loaded ({reason}): it may have too little memory (ulimit -v), or the environment is "
            "damaged (make clean setup)"
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        settings = [frame.f_globals for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
        if settings["__name__"] != "keras.src.backend.config":
            raise
        raise CCTError(
            f"Keras refuses its settings ({error}): correct or remove {settings['_config_path']}, and unset "
            "KERAS_MAX_* variables"
        ) from error


def missing_gpu(backend: str) -> CCTError:
    """The error where `runtime.device` is gpu and the backend sees none."""
    return CCTError(
        f"runtime.device = 'gpu', but {backend} sees no GPU. Install its CUDA libraries (docs/gpu.md) and check "
        "nvidia-smi, or set runtime.device to auto or cpu."
    )
