"""What `runtime` asks for and this machine lacks, as far as it shows without an import of the backend."""

import importlib.util
import platform
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


def missing_package(backend: str, package: str | None) -> CCTError:
    """The error where a backend lacks a package, most often its own."""
    if backend == "tensorflow":  # TensorFlow has no extra
        return CCTError(f"{package} is not installed, so the environment is incomplete: run make clean setup")
    return CCTError(
        f"runtime.backend = '{backend}', but {package} is not installed: make setup EXTRA={backend}, or set "
        "runtime.backend to tensorflow"
    )


def missing_gpu(backend: str) -> CCTError:
    """The error where `runtime.device` is gpu and the backend sees none."""
    return CCTError(
        f"runtime.device = 'gpu', but {backend} sees no GPU. Install its CUDA libraries (docs/gpu.md) and check "
        "nvidia-smi, or set runtime.device to auto or cpu."
    )
