"""Clones of the work tree, which share only the commits with it."""

import logging
import shutil
import subprocess
from pathlib import Path

from cct.errors import CCTError
from cct.params import read_yaml
from cct.paths import PARAMS
from cct.pipeline import pipeline_outputs
from cct.repository import require_own_repository

log = logging.getLogger(__name__)


def clone_work_tree(top: Path, folder: Path) -> None:
    """Clone the commit that is checked out, with the changes of the work tree and the files that its parameters name.

    Args:
        top: a git repository.
        folder: the clone, which is made.

    Raises:
        CCTError: git failed, or `top` is a subfolder of a repository.
    """
    require_own_repository(top)
    _git("clone", "--quiet", str(top), str(folder))
    here = ("-C", str(top))
    listed = _git(*here, "diff", "--name-only", "-z", "HEAD") + _git(
        *here, "ls-files", "--others", "--exclude-standard", "-z"
    )
    written = {"dvc.lock", *pipeline_outputs(top)}  # by the stages, so these are not changes of their inputs
    changed = [name for name in listed.split("\0") if name and name not in written]
    if changed:
        log.info("with the changes of the work tree that are not committed: %s", ", ".join(changed))
    content = read_yaml(top / PARAMS)
    named = [content["data"]["source"], content["train"]["init_from"]]
    for name in [*changed, *(name for name in named if name and not Path(name).is_absolute())]:
        if (top / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(top / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    # Every stage runs, because the clone has no dvc.lock and a cache of its own, whatever the user has configured.
    (folder / "dvc.lock").unlink(missing_ok=True)
    (folder / ".dvc/config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CCTError(f"git {' '.join(words[:3])} failed: {done.stderr.strip()}")
    return done.stdout
