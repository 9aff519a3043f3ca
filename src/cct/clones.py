"""DVC in the work tree, and in clones of it that share nothing with it but the commits."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cct.errors import CCTError
from cct.params import load, read_yaml


def dvc(*words: str, folder: Path | None = None) -> None:
    """Run DVC and pass on what it says, but for its warnings that a first run has no outputs yet.

    Args:
        words: the command.
        folder: a clone to run it in, with a tracking store of its own; none is here.

    Raises:
        CCTError: it failed; it has said why.
    """
    environment, interrupted = dict(os.environ), False
    if folder:
        for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI"):
            environment.pop(name, None)
    binary = Path(sys.executable).with_name("dvc")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    # In a session of its own, so that it gets exactly the interrupts that are passed on to it: the second is "at once".
    with subprocess.Popen([binary, *words], cwd=folder, env=environment, start_new_session=True, **pipes) as process:
        while True:
            try:
                for line in process.stdout:
                    if "No file hash info found for" not in line:
                        print(line, end="", flush=True)
                break
            except KeyboardInterrupt:
                interrupted = True
                os.killpg(process.pid, signal.SIGINT)
    if interrupted:
        raise KeyboardInterrupt
    if process.returncode:
        raise CCTError(f"dvc {' '.join(words[:2])} ended with exit code {process.returncode}")


def make(top: Path, folder: Path) -> None:
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


def fetch(top: Path, revision: str, names: Sequence[str], folder: Path) -> None:
    """Copy outputs of a commit or an experiment from DVC's cache, or its remote, into a folder.

    Raises:
        CCTError: there is no such revision, or DVC does not have its files.
    """
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        files = DVCFileSystem(str(top), rev=revision)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            files.get(name, str(folder / name), recursive=True)
    except Exception as error:
        known = isinstance(error, DvcException | SCMError | OSError)
        if not known and not type(error).__module__.startswith("dvc"):  # dvc_data's errors have no base class
            raise
        raise CCTError(
            f"the files of {revision} are not to be had: {error}. Is it a commit, branch or experiment (dvc exp list) "
            "whose dvc.lock is committed, and are its files in the cache (dvc fetch)?"
        ) from error


def must_be_up_to_date(top: Path) -> None:
    """Refuse outputs that are not those of the present parameters and code.

    Raises:
        CCTError: something changed since the last run, or there was none.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from scmrepo.exceptions import SCMError

    load(top / "params.yaml")
    try:
        with Repo(str(top)) as repository:
            status = repository.status()
    except (DvcException, SCMError) as error:
        raise CCTError(f"dvc status failed: {error}") from error
    stale = [name.rpartition(":")[2] for name in status if not name.endswith(".dvc")]
    if stale:
        raise CCTError(
            f"the files here are not those of the present parameters and code ({', '.join(stale)} changed): "
            "run dvc repro first"
        )


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CCTError(f"git {' '.join(words[:3])} failed: {done.stderr.strip()}")
    return done.stdout
