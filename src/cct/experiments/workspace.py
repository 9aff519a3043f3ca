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
from cct.pipeline import pipeline_outputs, read_stages
from cct.repository import require_own_repository

log = logging.getLogger(__name__)


def clone_work_tree(top: Path, folder: Path) -> Path:
    """Clone the commit that is checked out, with the changes of the work tree and the files that its parameters name.

    Args:
        top: a git repository.
        folder: a folder for the clone and all that is copied, which is made.

    Returns:
        The clone, in `folder`. A relative path of the parameters that leaves `top` stays in `folder`.

    Raises:
        CCTError: git failed, or `top` is a subfolder of a repository.
    """
    require_own_repository(top)
    named = [Path(os.path.normpath(path)) for path in named_files(read_yaml(top / PARAMS)) if not path.is_absolute()]
    above = max((path.parts.count("..") for path in named), default=0)
    clone = folder.joinpath(*["above"] * above, "clone")
    clone.parent.mkdir(parents=True, exist_ok=True)
    _git("clone", "--quiet", str(top), str(clone))
    changed = _changed_files(top)
    for name in changed:
        if not (top / name).exists():
            (clone / name).unlink(missing_ok=True)
    for path in dict.fromkeys([*map(Path, changed), *(_in_dvc(top, path) for path in named), *_inputs_in_dvc(top)]):
        place = Path(os.path.normpath(clone / path))
        place.parent.mkdir(parents=True, exist_ok=True)
        if (top / path).is_dir():
            shutil.copytree(top / path, place, dirs_exist_ok=True)
        elif (top / path).is_file():
            shutil.copyfile(top / path, place)
    # Every stage runs, because the clone has no dvc.lock and a cache of its own, whatever the user has configured.
    (clone / "dvc.lock").unlink(missing_ok=True)
    (clone / ".dvc/config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")
    return clone


def _changed_files(top: Path) -> list[str]:
    """The files that differ from the commit and those that git does not know, without those that the stages write."""
    here = ("-C", str(top))
    listed = _git(*here, "diff", "--name-only", "-z", "HEAD") + _git(
        *here, "ls-files", "--others", "--exclude-standard", "-z"
    )
    written = {"dvc.lock", *pipeline_outputs(top)}  # by the stages, so these are not changes of their inputs
    changed = [name for name in listed.split("\0") if name and name not in written]
    if changed:
        shown = os.fsencode(", ".join(changed)).decode("utf-8", "backslashreplace")
        log.info("with the changes of the work tree that are not committed: %s", shown)
    return changed


def _in_dvc(top: Path, path: Path) -> Path:
    """The file or folder that DVC has as a whole and that a path is in; the path itself if there is none."""
    return next((place for place in places_in_dvc(path) if (top / f"{place}.dvc").is_file()), path)


def _inputs_in_dvc(top: Path) -> list[Path]:
    """What DVC has in folders that stages read. DVC wants all of it there, also what no parameter names."""
    folders = {top / name for stage in read_stages(top).values() for name in stage["deps"]}
    pointers = [file for folder in folders if folder.is_dir() for file in folder.glob("*.dvc")]
    return sorted(file.relative_to(top).with_suffix("") for file in pointers)


def places_in_dvc(path: Path) -> list[Path]:
    """What DVC may have as a whole to have a path: the path itself, and the folders that it is in."""
    return [place for place in (path, *path.parents) if place.name]


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
