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


def keep_out_of_git(path: Path) -> bool:
    """Exclude a path in this clone from git if git does not know it. DVC would commit it with an experiment.

    Args:
        path: a file or folder of the user's data.

    Returns:
        Whether the clone's own list, `.git/info/exclude`, has got a new line. Nothing that is committed changes.
    """
    root, place = repository_root(), Path(os.path.abspath(path))  # without '..', but with its links
    if not place.is_relative_to(root) or place == root or git(root, "ls-files", "--", str(place)):
        return False
    name = place.relative_to(root).as_posix()
    exclude = git(root, "rev-parse", "--path-format=absolute", "--git-path", "info/exclude")
    if not exclude or git(root, "check-ignore", "--", name):
        return False
    Path(exclude).parent.mkdir(exist_ok=True)
    line = "/" + re.sub(r"([\\*?\[\] #!])", r"\\\1", name) + "\n"
    with Path(exclude).open("a+b") as file:
        size = file.tell()
        file.seek(max(0, size - 1))
        unfinished = file.read(1) not in (b"", b"\n")  # an editor may leave the last line without an end
        file.write(("\n" * unfinished + line).encode("utf-8", "surrogateescape"))
    return True


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
