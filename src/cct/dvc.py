"""DVC in the work tree: commands, experiments, and the files of a revision."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cct.errors import CCTError
from cct.params import load, read_yaml
from cct.repository import git, repository_root


def pipeline_outputs(top: Path) -> list[str]:
    """All that the stages of `dvc.yaml` write, relative to `top`, in the order of the stages."""
    stages = read_yaml(top / "dvc.yaml")["stages"].values()
    return [name for stage in stages for name in stage_outputs(stage)]


def stage_outputs(stage: Mapping[str, Any]) -> list[str]:
    """The paths that a stage of `dvc.yaml` writes. One with options is a mapping of one key."""
    entries = [*stage.get("outs", []), *stage.get("metrics", [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def run_dvc(*words: str, folder: Path | None = None) -> None:
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


def fetch_files(top: Path, revision: str, names: Sequence[str], folder: Path) -> None:
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


def require_up_to_date(top: Path) -> None:
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


class Experiment(NamedTuple):
    """An experiment of DVC's. Its name is its own only among those of the same baseline."""

    name: str
    baseline: str  # commit
    commit: str


def list_experiments() -> list[Experiment]:
    """All experiments in the repository, by name. DVC keeps each as the git reference refs/exps/<baseline>/<name>."""
    found = []
    for line in git(repository_root(), "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/").splitlines():
        commit, _, reference = line.partition(" ")
        parts = reference.split("/")
        if len(parts) == 5 and len(parts[2]) == 2 and len(parts[3]) == 38:
            found.append(Experiment(parts[4], parts[2] + parts[3], commit))
    return sorted(found)
