"""Describes the machine of a run.

Its platform fingerprint decides the bits of a run and goes into the saved model. With equal fingerprints, equal runs
give equal bytes. Other facts (packages, host, driver) go only to the tracker.
"""

import importlib.metadata
import os
import platform
import socket
from pathlib import Path
from typing import Any

# Instruction sets, as Linux names them, for which oneDNN, Eigen, XLA and PyTorch have special kernels.
KERNEL_FLAGS = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16",
    "asimd", "asimddp", "asimdhp", "bf16", "i8mm", "sve", "sve2",
)  # fmt: skip
# A CPU computes in a 16-bit type if it has one of these. Without them, each product converts its numbers.
SIXTEEN_BITS = {"bfloat16": ("avx512_bf16", "amx_bf16", "bf16"), "float16": ("avx512_fp16", "amx_fp16", "asimdhp")}
# Environment variables that choose other kernels.
KERNEL_VARIABLES = (
    "JAX_DEFAULT_MATMUL_PRECISION", "NVIDIA_TF32_OVERRIDE", "ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS"
)  # fmt: skip


def kernel_variables() -> list[str]:
    """The `KERNEL_VARIABLES` that are set, as `NAME=VALUE`."""
    return [f"{name}={os.environ[name]}" for name in KERNEL_VARIABLES if os.environ.get(name)]


def cpu_info() -> dict[str, Any]:
    """This machine's processor: its `model`, and its `flags` among `KERNEL_FLAGS`."""
    described = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            described.setdefault(name.strip().lower(), value.strip())
    except OSError:  # not Linux
        pass
    has = set((described.get("flags") or described.get("features") or "").split())
    model = described.get("model name") or platform.processor() or platform.machine()
    return {"model": model, "flags": [flag for flag in KERNEL_FLAGS if flag in has]}


def cpu_cores() -> int:
    """Cores that this process may use. On macOS, all cores of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def nvidia_driver() -> str:
    """Version of the NVIDIA driver, or an empty text."""
    try:
        return Path("/sys/module/nvidia/version").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def installed_packages() -> dict[str, str]:
    """Version of every installed package."""
    # Each access to `metadata` reads and parses the file again.
    read = (distribution.metadata for distribution in importlib.metadata.distributions())
    found = {(one["Name"] or "").lower(): one["Version"] for one in read}
    return dict(sorted(item for item in found.items() if item[0]))


def machine_record(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """A platform fingerprint, and all other facts about this machine."""
    return {
        "platform": fingerprint,
        "host": socket.gethostname(),
        "system": platform.platform(),
        "cpu": cpu_info()["model"],
        "cores": cpu_cores(),
        "nvidia_driver": nvidia_driver(),
        "packages": installed_packages(),
    }


def platform_differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The differences between two platform fingerprints, one line each."""
    lines = []
    for name in sorted({*one, *other}):
        a, b = one.get(name), other.get(name)
        if isinstance(a, list) and isinstance(b, list) and a != b:
            a, b = (sorted(set(x) - set(y)) or "nothing more" for x, y in ((a, b), (b, a)))
        if a != b:
            lines.append(f"{name.replace('_', ' ')}: {_shown(a)} / {_shown(b)}")
    return lines


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
