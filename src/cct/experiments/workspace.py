"""Clones of the work tree that share nothing with it but the commits."""

import shutil
import subprocess
from pathlib import Path

from cct.errors import CCTError
from cct.params import read_yaml


def clone_work_tree(top: Path, folder: Path) -> None:
    """Clone the commit that is checked out, with the changes of the work tree and the files its parameters name.

    Args:
        top: a git repository.
        folder: the clone, to be made.

    Raises:
        CCTError: git failed.
    """
    _git("clone", "--quiet", str(top), str(folder))
    here = ("-C", str(top))
    listed = _git(*here, "diff", "--name-only", "-z", "HEAD") + _git(
        *here, "ls-files", "--others", "--exclude-standard", "-z"
    )
    changed = [name for name in listed.split("\0") if name and name != "dvc.lock"]
    if changed:
        print(f"with the changes of the work tree that are not committed: {', '.join(changed)}")
    chosen = read_yaml(top / "params.yaml")
    named = [chosen["data"]["source"], chosen["train"]["init_from"]]
    for name in [*changed, *(name for name in named if name and not Path(name).is_absolute())]:
        if (top / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(top / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    # So that every stage runs: no lock, and a cache of its own, whatever the user has configured.
    (folder / "dvc.lock").unlink(missing_ok=True)
    (folder / ".dvc/config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CCTError(f"git {' '.join(words[:3])} failed: {done.stderr.strip()}")
    return done.stdout
