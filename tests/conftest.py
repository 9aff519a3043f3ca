"""A clone of the work tree, as a user has it, to run the real tools in; and a history that training could have left."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from cct.log import configure_logging

ROOT = Path(__file__).parents[1]
# Tests run in as many processes as there are processors: threads of each would only be in each other's way.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed-shift", type=int, default=0, help="add this to the seed of every training")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["CCT_TEST_SEED_SHIFT"] = str(config.getoption("--seed-shift"))


@pytest.fixture(autouse=True)
def _logging() -> None:
    """As a command has it: progress on stdout, warnings on stderr."""
    configure_logging()


def make_history(epochs: int = 12) -> dict[str, np.ndarray]:
    epoch = np.arange(1, epochs + 1)
    return {
        "epoch": epoch,
        "train_loss": 2 / epoch,
        "train_accuracy": 1 - 0.5 / epoch,
        "val_loss": 2.2 / epoch,
        "val_accuracy": 1 - 0.625 / epoch,
        "learning_rate": np.full(epochs, 1e-3),
        "best": (epoch == max(epochs - 1, 1)).astype(int),
    }


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
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=tests", "-c", "user.email=tests@localhost", "commit", "-qm", "start")
        if identity:  # DVC asks for one
            self.run("git", "config", "user.name", "tests")
            self.run("git", "config", "user.email", "tests@localhost")

    def run(self, *words: str, code: int = 0, **variables: str) -> str:
        """Run a command; its output, stderr included, if it ends with `code`."""
        done = subprocess.run(
            words,
            cwd=self.path,
            env=self.environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def git_state(self) -> str:
        return self.run("git", "status", "--porcelain") + self.run("git", "rev-parse", "HEAD")


@pytest.fixture(scope="session")
def make_clone(tmp_path_factory):
    """A function that makes clones."""

    def make(*, identity: bool = True) -> Clone:
        base = tmp_path_factory.mktemp("clone")
        return Clone(base / "repository", base / "home", identity=identity)

    return make


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, worker_id):
    """A clone in which `dvc repro` was left alone, and the digests of its files: made once for all processes."""
    from runs import digests, set_parameters

    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent  # that of all workers
    done = base / "undisturbed.json"
    with FileLock(base / "undisturbed.lock"):
        made = done.exists()
        clone = Clone(base / "undisturbed", base / "undisturbed-home")
        if not made:
            set_parameters(clone)
            clone.run("dvc", "repro")
            assert not list((clone.path / ".cct/checkpoints").glob("*/*")), "a finished run leaves no checkpoint"
            done.write_text(json.dumps(digests(clone)))
    return clone, json.loads(done.read_text())


@pytest.fixture(scope="module")
def finished(undisturbed, tmp_path_factory) -> Clone:
    """A copy of the undisturbed run, which a file's tests may change."""
    base = tmp_path_factory.mktemp("finished")
    shutil.copytree(undisturbed[0].path, base / "repository", symlinks=True)
    return Clone(base / "repository", base / "home")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The files that take minutes go first, so that no processor is left with one of them at the end."""
    if config.pluginmanager.hasplugin("randomly"):
        return
    names = ("resume", "experiments", "ablation", "dvc", "pipeline", "training", "reproduce", "models", "delivery")
    longest = [f"test_{name}.py" for name in names]
    order = {name: place for place, name in enumerate(longest)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
