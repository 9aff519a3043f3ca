"""The git repository that this project lies in."""

import os
import subprocess
from pathlib import Path

# Changes elsewhere change a run; these files are its parameters and results.
CODE_PATHSPEC = ("--", ".", ":!params.yaml", ":!dvc.lock", ":!reports")


def git(folder: Path, *arguments: str) -> str:
    """What a git command prints, or nothing where it fails."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def repository_root() -> Path:
    """The repository of the user, also where DVC runs an experiment in a folder of its own."""
    named = os.environ.get("DVC_ROOT")
    here = Path(named) if named else Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here).resolve()
