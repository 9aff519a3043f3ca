"""The git repository of this project."""

import os
import re
import subprocess
from pathlib import Path

from cct.errors import CCTError
from cct.paths import DVC_YAML

# The code of a run: all files except its parameters and results.
CODE_PATHSPEC = ("--", ".", ":!params.yaml", ":!dvc.lock", ":!reports")


def git(folder: Path, *arguments: str) -> str:
    """The output of a git command, or an empty string if it fails."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def require_repository() -> Path:
    """The repository root of the current folder.

    Raises:
        CCTError: the current folder is not in a clone of this project.
    """
    root = repository_root()
    if not (root / ".dvc").is_dir() or not (root / DVC_YAML).is_file():
        raise CCTError(f"{Path.cwd()} is not in a clone of this project: cd into one")
    return root


def require_experiments_kept() -> None:
    """Refuse an experiment in a temporary folder if DVC would lose its result.

    Raises:
        CCTError: the repository was cloned with --depth, DVC would read a part of its path as a part of a URL, or the
            project is a subfolder of another repository.
    """
    root = repository_root()
    require_own_repository(root)
    special = re.search(r"[#?]|%[0-9A-Fa-f]{2}", str(root))
    if special:
        raise CCTError(
            f"{root} has {special[0]!r} in its path, and DVC would lose the experiment: rename the folder, or run dvc "
            "exp run without --temp and --queue"
        )
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise CCTError(
            f"{root} was cloned without its history (--depth), and DVC would lose the experiment: run git fetch "
            "--unshallow first, or dvc exp run without --temp and --queue"
        )


def require_own_repository(root: Path) -> None:
    """Refuse a project in a subfolder of another git repository. DVC's experiments and clones need it at the root.

    Raises:
        CCTError: git's root is above the project's.
    """
    if git(root, "rev-parse", "--show-prefix"):
        raise CCTError(
            f"{root} is a subfolder of the git repository {git(root, 'rev-parse', '--show-toplevel')}, where DVC's "
            "experiments fail: make the project a repository of its own (git init), or run dvc repro"
        )


def repository_root() -> Path:
    """The root of the user's repository, even if DVC runs an experiment in a temporary folder."""
    named = os.environ.get("DVC_ROOT")
    here = Path(named) if named else Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here).resolve()
