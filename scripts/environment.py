"""Makes the environment in .venv, for `make setup`: python scripts/environment.py [EXTRA ...]

It needs only Python. If several run at once, one works and the others wait. The next run repeats a failed step.
"""

from __future__ import annotations  # Python 3.8 and older must reach the check of the version

import fcntl
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
OLDEST, NEWEST = (3, 11), (3, 13)


def main(extras: list[str]) -> None:
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.exit(
            f"error: {sys.executable} is Python {sys.version.split()[0]}; 3.11 to 3.13 is needed: "
            "make setup PYTHON=/path/to/python3.12"
        )
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        sys.exit(f"error: {sys.executable} has no venv module; on Debian and Ubuntu: apt install python3-venv")
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_base()
        for extra in extras:
            add(f"requirements-{extra}.lock", f"ready-{extra}")


def make_base() -> None:
    """Make the environment with the project and its requirements."""
    home = ENVIRONMENT / "home"  # an environment does not work in another folder
    here = home.is_file() and home.read_bytes() == os.fsencode(ROOT)
    if here and is_newer(ENVIRONMENT / "ready", ROOT / "requirements.lock", ROOT / "pyproject.toml"):
        return
    for mark in ENVIRONMENT.glob("ready*"):
        mark.unlink()
    print("making the environment in .venv, which takes minutes if its packages are not in a cache", flush=True)
    if not here:
        run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT))
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as own:
        own.write(re.search(r"^uv==(?:.*\\\n)*.*\n", locked, flags=re.MULTILINE)[0])
        own.flush()
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
        run("python", *pip, "-r", own.name)
    install("--require-hashes", "-r", "requirements.lock")
    install("--no-deps", "--no-build-isolation", "-e", ".")
    home.write_bytes(os.fsencode(ROOT))
    (ENVIRONMENT / "ready").touch()


def add(lock: str, mark: str) -> None:
    """Install the requirements of an extra of the project."""
    if not is_newer(ENVIRONMENT / mark, ROOT / lock, ENVIRONMENT / "ready"):
        install("--require-hashes", "-r", "requirements.lock", "-r", lock)
        (ENVIRONMENT / mark).touch()


def is_newer(mark: Path, *files: Path) -> bool:
    return mark.is_file() and all(mark.stat().st_mtime >= file.stat().st_mtime for file in files)


def install(*words: str) -> None:
    cache = Path(os.environ.get("UV_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            aside = []
    except OSError:  # uv works without a cache
        aside = ["--no-cache"]
    run("uv", "pip", "install", "--quiet", *aside, "--python", str(ENVIRONMENT / "bin/python"), *words)


def run(tool: str, *words: str) -> None:
    done = subprocess.run([ENVIRONMENT / "bin" / tool, *words], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"error: the environment could not be made: {tool} {' '.join(words[:3])} failed; its message is above")


if __name__ == "__main__":
    main(sys.argv[1:])
