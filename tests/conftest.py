"""Options of the tests, and clones of the work tree for the real tools."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clones import Clone
from filelock import FileLock
from hypothesis import settings

from cct.log import configure_logging

# Tests run in more processes than a small machine has processors: threads of each would only be in each other's way.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as in every command
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed-shift", type=int, default=0, help="add this to the seed of every training")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["CCT_TEST_SEED_SHIFT"] = str(config.getoption("--seed-shift"))
    # The same examples in every run, and others where seeds are shifted.
    settings.register_profile("cct", derandomize=not config.getoption("--seed-shift"), deadline=None, database=None)
    settings.load_profile("cct")


@pytest.fixture(autouse=True)
def _logging() -> None:
    """As a command has it: progress on stdout, warnings on stderr."""
    configure_logging()


@pytest.fixture(autouse=True)
def _store() -> Iterator[None]:
    """MLflow keeps the address of the store in the process and its environment: the next test must not find it."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    yield
    if os.environ.get("MLFLOW_TRACKING_URI") != before and "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(before)


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
            done.write_text(json.dumps(digests(clone)))
    return clone, json.loads(done.read_text())


@pytest.fixture(scope="module")
def finished(undisturbed, tmp_path_factory) -> Clone:
    """A copy of the undisturbed run, which a file's tests may change."""
    base = tmp_path_factory.mktemp("finished")
    shutil.copytree(undisturbed[0].path, base / "repository", symlinks=True)
    return Clone(base / "repository", base / "home")


@pytest.fixture
def small_disk(tmp_path):
    """A function that makes a file system of so many kilobytes, or changes its size. Only root can."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def resize(kilobytes: int) -> Path:
        words = ["mount", "-t", "tmpfs", "-o", f"{'remount,' * folder.is_mount()}size={kilobytes}k", "tmpfs", folder]
        if subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip("mount needs root")
        return folder

    yield resize
    subprocess.run(["umount", "-l", folder], capture_output=True, check=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The files that take minutes go first, so that no processor is left with one of them at the end."""
    if config.pluginmanager.hasplugin("randomly"):
        return
    names = [
        "experiments", "resume", "own_images", "text_pipeline", "pipeline", "resumed_trainings", "ablation_run",
        "services", "backends", "commands", "exported_family", "text_training", "starting_and_stopping", "fine_tuning",
        "page", "server_runtimes", "benchmarks_run", "optimizers", "presets", "delivery", "text_models", "machine",
        "loop", "dependencies", "export", "benchmarks_measure", "reproduce", "tracking", "text_server", "build", "show",
        "image_shapes", "benchmarks", "saving", "starting", "weight_transfer", "class_weights", "repository",
        "same_answers", "load", "fast_layers", "dvc",
    ]  # fmt: skip
    longest = [f"test_{name}.py" for name in names]
    order = {name: place for place, name in enumerate(longest)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
