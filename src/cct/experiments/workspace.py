"""Clones of the work tree, which share only the commits with it, and the files that parameters name."""

import logging
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
        shown = os.fsencode(", ".join(changed)).decode("utf-8", "backslashreplace")
        log.info("with the changes of the work tree that are not committed: %s", shown)
    for name in changed:
        if not (top / name).exists():
            (folder / name).unlink(missing_ok=True)
    named = [path for path in named_files(read_yaml(top / PARAMS)) if not path.is_absolute()]
    for path in [*map(Path, changed), *named]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if (top / path).is_dir():
            shutil.copytree(top / path, folder / path, dirs_exist_ok=True)
        elif (top / path).is_file():
            shutil.copyfile(top / path, folder / path)
    # Every stage runs, because the clone has no dvc.lock and a cache of its own, whatever the user has configured.
    (folder / "dvc.lock").unlink(missing_ok=True)
    (folder / ".dvc/config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")


def named_files(content: Mapping[str, Any]) -> list[Path]:
    """The files and folders that parameters name: data, pretrained vectors, and the model that a training starts from.

    Args:
        content: the content of a `params.yaml`.
    """
    named = (content["data"]["source"], content["preprocess"]["embeddings"], content["train"]["init_from"])
    return [Path(name) for name in named if name]


def _git(*words: str) -> str:
    # A file name may be no UTF-8.
    options = {"capture_output": True, "encoding": "utf-8", "errors": "surrogateescape"}
    done = subprocess.run(["git", *words], **options, check=False)
    if done.returncode:
        raise CCTError(f"git {' '.join(words[:3])} failed: {done.stderr.strip()}")
    return done.stdout
