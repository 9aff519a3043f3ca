"""Clones of the work tree, in which tests run the real tools."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from patience import HUNG_S

ROOT = Path(__file__).parents[1]
# In place of the work tree's params.yaml, so that the tests pass whatever a user trains.
DEFAULTS = ROOT / "tests/params.yaml"


class Clone:
    """A fresh repository with the files of this work tree, and commands run in it."""

    def __init__(self, path: Path, home: Path, *, identity: bool = True) -> None:
        """Make it, or use the one that another process made."""
        self.path = path
        made = path.exists()
        path.mkdir(exist_ok=True)
        home.mkdir(exist_ok=True)
        kept = ("PATH", "LANG", "TMPDIR", "SSL_CERT_FILE", "TF_ENABLE_ONEDNN_OPTS")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ} | {
            # No git identity, no configuration, no cache of the person who runs the tests.
            "HOME": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "CCT_CACHE": str(home / "cct"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        self.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{self.environment['PATH']}"
        if made:
            return
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, check=True
        ).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, path / name)
        shutil.copy2(DEFAULTS, path / "params.yaml")
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=tests", "-c", "user.email=tests@localhost", "commit", "-qm", "start")
        if identity:  # DVC asks for one
            self.run("git", "config", "user.name", "tests")
            self.run("git", "config", "user.email", "tests@localhost")

    def run(self, *words: str, code: int = 0, **variables: str) -> str:
        """Run a command; its output, stderr included, if it ends with `code`."""
        # Into a file: a worker of DVC's queue now and then misses its shutdown, and would keep a pipe open for ever.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            done = subprocess.run(
                words,
                cwd=self.path,
                env=self.environment | variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=HUNG_S,
                check=False,
            )
            output.seek(0)
            said = output.read()
        assert done.returncode == code, f"{' '.join(words)} ended with {done.returncode}:\n{said}"
        return said

    def link_environment(self) -> None:
        """Give the clone the environment that runs the tests, so that `make` installs nothing."""
        environment = self.path / ".venv"
        environment.mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (environment / name).symlink_to(Path(sys.prefix) / name)
        (environment / "home").write_text(str(self.path))
        (environment / "ready").touch()  # newer than the lock files

    def git_state(self) -> str:
        return self.run("git", "status", "--porcelain") + self.run("git", "rev-parse", "HEAD")
