"""Shared by the scripts: contenders in processes of their own, the machine, and the files of results."""

import hashlib
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cct.errors import CCTError, one_line
from cct.files import write_atomically
from cct.runtime.machine import cpu_cores, cpu_info

HERE = Path(__file__).parent
ROOT = HERE.parent
OURS, BF16 = "ours-tensorflow", "mixed_bfloat16"
PRECISIONS = ("float32", BF16)
TORCH = {
    "vit-pytorch": "vit-pytorch",
    "vit-pytorch, channels last": "vit-pytorch-channels-last",
    "vit-pytorch, compiled": "vit-pytorch-compiled",
}
# By the flag of the widest of them that a CPU has. Names such as "AMD EPYC" leave open which it is.
INSTRUCTIONS = {
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX-512 BF16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "sve2": "SVE2",
    "asimd": "NEON",
}


def command_of(kind: str, *words: str, python: str) -> list[str]:
    """The command of a contender. Those of PyTorch run in a Python of their own."""
    return [python if kind.startswith("vit-pytorch") else sys.executable, str(HERE / "contender.py"), kind, *words]


def ask(
    kind: str, name: str, precision: str, *, batch: int, steps: int, python: str, options: Iterable[str] = ()
) -> dict:
    """Run one process of `contender.py`, and return its JSON."""
    words = command_of(kind, name, precision, str(batch), str(steps), *options, python=python)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{kind} {name} {precision} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def rates() -> dict[str, int]:
    """GFLOP/s of a matrix product in each precision."""
    found = {}
    for precision in PRECISIONS:
        product = ask("matmul", "-", precision, batch=0, steps=0, python=sys.executable)
        found[precision] = round(product["size"] / statistics.median(product["seconds"]))
    return found


def spread(values: Iterable[float]) -> list[float]:
    """Median, lowest, highest."""
    ordered = sorted(values)
    return [round(value, 3) for value in (statistics.median(ordered), ordered[0], ordered[-1])]


def has_torch(python: str) -> bool:
    """Whether a Python can run vit-pytorch."""
    # vit_pytorch is not imported: it needs torchvision, and `contender.py` does not.
    code = "import importlib.util, torch; raise SystemExit(not importlib.util.find_spec('vit_pytorch'))"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def refuse_without_torch(earlier: Iterable[str], *, out: Path, python: str) -> None:
    """Refuse to replace comparisons with vit-pytorch by results without them.

    Args:
        earlier: the contenders in the results that would be replaced.
        out: the file of the results.
        python: a Python that cannot run vit-pytorch.

    Raises:
        CCTError: the earlier results have such a comparison.
    """
    lost = [title for title in dict.fromkeys(earlier) if title in TORCH]
    if lost:
        raise CCTError(
            f"{out} compares with {' and '.join(lost)}, which {python} cannot run, so the comparison would be lost: "
            "give --torch-python a Python with torch, einops and vit-pytorch, or name another --out"
        )


def widest(flags: Iterable[str]) -> str:
    """The instruction set that decides how fast a CPU is."""
    return next((title for flag, title in INSTRUCTIONS.items() if flag in flags), "no vectors that this file knows")


def commit() -> str:
    """The commit of this work tree, with "-dirty" where files differ from it; empty without git."""
    words = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # git is not installed
        return ""


def here() -> dict:
    """The machine, Python version and commit of this measurement."""
    described = cpu_info()
    cpu = f"{cpu_cores()} cores of {described['model']} ({widest(described['flags'])})"
    return {"cpu": cpu, "flags": described["flags"], "python": platform.python_version(), "commit": commit()}


def source_digest(folder: Path = ROOT / "src") -> str:
    """Sha256 of the names and contents of all source files in a folder. It needs no git."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        if "__pycache__" in name.parts or any(part.startswith(".") for part in name.parts):
            continue  # compiled files, and those of editors
        content = path.read_bytes()
        digest.update(f"{name.as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """The content of a file of results.

    Raises:
        CCTError: it is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CCTError(f"{path} is not JSON: {one_line(error)}: restore it with git, or remove it") from error
    if not isinstance(content, dict):
        raise CCTError(f"{path} is not JSON: a file of results is an object: restore it with git, or remove it")
    return content


def read_earlier(path: Path, kind: str) -> dict[str, Any]:
    """The earlier results in the file of `--out`; empty if there is no file.

    Raises:
        CCTError: the file has something else.
    """
    content = read_json(path) if path.is_file() else {}
    if content and content.get("kind") != kind:
        raise CCTError(f"{path} has no results of the kind {kind!r}: name another --out")
    return content


def read_machines(path: Path, kind: str) -> dict[str, Any]:
    """The results of all kinds of machines in a file; none if there is no file.

    Raises:
        CCTError: the file has something else.
    """
    return {"kind": kind, "machines": {}} | read_earlier(path, kind)


def write(path: Path, report: dict) -> None:
    write_atomically(path, (json.dumps(report, indent=2) + "\n").encode())
