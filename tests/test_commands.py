"""The commands of README and docs run without changes (make test-docs).

Each page has its own clone, with a finished small training on digits. The page marks blocks that need a network, a
server, hours or something of the user. `REASONS` lists the marks.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from clones import ROOT, Clone
from filelock import FileLock
from pages import PAGES, blocks
from patience import HUNG_S
from phone_photos import write_photos
from runs import set_values

pytestmark = pytest.mark.docs
# As small as can be; a page's commands change what they say.
SMALL = {
    "data.source": "data/sources/digits.yaml",
    "preprocess.train_fraction": 0.1,
    "model.name": "cct_2_3x1",
    "train.epochs": 2,
    "runtime.threads": 1,
}
REASONS = {
    "installs packages",
    "names an archive that you have",
    "names files that you have",
    "needs your photos",
    "needs a checkpoint of the authors",
    "needs a GPU",
    "needs a server",
    "needs root and a server",
    "needs root, or a network",
    "needs the identifier of a run",
    "needs the names of two experiments",
    "serves until Ctrl-C",
    "takes an hour",
    "takes half an hour, and needs PyTorch",
    "takes hours",
    "takes minutes",
    "takes twenty minutes, and the second needs PyTorch",
}
WITH_BROKEN_PHOTOS = {"your-images.md"}  # it says what becomes of them
RUN = [path for path in PAGES if any(block.not_run is None for block in blocks(path))]


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A folder with a clone in which `dvc repro` has run: made once for all processes."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with FileLock(base / "trained.lock"):
        if not (base / "trained/ready").exists():
            (base / "trained").mkdir()
            clone = Clone(base / "trained/repository", base / "trained/home")
            set_values(clone, SMALL)
            clone.run("git", "commit", "-qam", "small")
            clone.run("dvc", "repro", MLFLOW_TRACKING_URI="none")  # a store names the place of its folder
            clone.run("git", "add", "-A")
            clone.run("git", "commit", "-qm", "trained")
            (base / "trained/ready").touch()
    return base / "trained"


@pytest.fixture
def clone(trained, tmp_path) -> Clone:
    """A copy of it, whose environment is the one that runs the tests."""
    shutil.copytree(trained, tmp_path / "copy", symlinks=True)
    made = Clone(tmp_path / "copy/repository", tmp_path / "copy/home")
    made.link_environment()
    return made


@pytest.mark.parametrize("path", RUN, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_page_run(path, clone):
    write_photos(clone.path / "photos", broken=path.name in WITH_BROKEN_PHOTOS)  # the reader's own
    commands = [command for block in blocks(path) if block.not_run is None for command in block.commands]
    script = "\n".join(["set -eo pipefail", *(f"echo '@@' {shlex.quote(command)}\n{command}" for command in commands)])
    done = subprocess.run(
        ["bash", "-c", script], cwd=clone.path, env=clone.environment, capture_output=True, text=True, timeout=HUNG_S
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def test_what_is_not_run_has_a_reason_of_the_list():
    found = {block.not_run for path in PAGES for block in blocks(path) if block.not_run}
    assert found == REASONS
    assert len(RUN) > 10
