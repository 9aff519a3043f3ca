"""DVC in the work tree: commands, experiments, and the files of a revision."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cct.errors import CCTError
from cct.files import require_file_or_folder
from cct.params import load
from cct.paths import PARAMS
from cct.pipeline import pipeline_outputs, read_stages
from cct.repository import git, repository_root

log = logging.getLogger(__name__)


# DVC refuses to make an experiment's commit without an author.
AUTHOR = {"name": "DVC experiment", "email": "dvc@localhost"}


def child_environment(folder: Path | None = None) -> dict[str, str]:
    """The environment for a child process that runs DVC, in a clone or in the current repository.

    The stages find this environment's `python` first. If git has no name or email there, the child process gets those
    of the current repository, or a default. Git's configuration and this process do not change.
    """
    environment = dict(os.environ)
    own = str(Path(sys.executable).parent)
    if own not in environment.get("PATH", "").split(os.pathsep)[:1]:
        environment["PATH"] = os.pathsep.join(filter(None, [own, environment.get("PATH")]))
    patches = str(Path(__file__).with_name("dvc_patches"))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [patches, environment.get("PYTHONPATH")]))
    for field, value in AUTHOR.items():
        own_value = git(repository_root(), "config", f"user.{field}")
        if not (git(folder, "config", f"user.{field}") if folder else own_value):
            for role in ("AUTHOR", "COMMITTER"):
                environment.setdefault(f"GIT_{role}_{field.upper()}", own_value or value)
    return environment


def run_dvc(*words: str, folder: Path | None = None) -> None:
    """Run DVC and print its output, except its warnings that a first run has no outputs yet.

    Args:
        words: the arguments of `dvc`.
        folder: a clone, in which DVC runs without tracking; None is the current folder.

    Raises:
        CCTError: DVC failed. It has printed the reason.
    """
    log.debug("dvc %s", " ".join(words))
    environment, interrupted = child_environment(folder), False
    if folder:
        for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
            environment.pop(name, None)
        environment["CCT_TRACKER"] = "none"
    binary = Path(sys.executable).with_name("dvc")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    # In its own session, DVC gets only the interrupts that this process forwards. A second one would stop it at once.
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
        raise CCTError(f"dvc {' '.join(words[:2])} failed with exit code {process.returncode}; its message is above")


def fetch_files(top: Path, revision: str, names: Sequence[Path | str], folder: Path) -> None:
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
            files.get(str(name), str(folder / name), recursive=True)
    except Exception as error:
        # scmrepo raises AttributeError for a tree or a file in git.
        known = isinstance(error, DvcException | SCMError | OSError | AttributeError)
        if not known and not type(error).__module__.startswith("dvc"):  # dvc_data's errors have no base class
            raise
        raise CCTError(
            f"cannot get the files of {revision}: {error}. It must be a commit, branch or experiment (dvc exp list) "
            "whose dvc.lock is committed, and its files must be in the cache (dvc fetch)"
        ) from error


def require_plain_files(top: Path) -> None:
    """Refuse a device or a pipe among the data of the stages. DVC would read it to its end, and it may have none.

    Raises:
        CCTError: something else than a plain file or a folder is there; the message names the first one.
    """
    read = (dep for stage in read_stages(top).values() for dep in stage["deps"] if not dep.startswith(("src/", "${")))
    for name in dict.fromkeys([*read, *pipeline_outputs(top)]):
        for path in (top / name, *(top / name).rglob("*")):
            require_file_or_folder(path, path.relative_to(top))


def require_up_to_date(top: Path) -> None:
    """Refuse outputs of other parameters or other code than the present ones.

    Raises:
        CCTError: a dependency changed since the last run, or there was no run.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.rwlock import RWLockFileCorruptedError, RWLockFileFormatError
    from scmrepo.exceptions import SCMError

    load(top / PARAMS)
    require_plain_files(top)
    try:
        with Repo(str(top)) as repository:
            status = repository.status()
    except (RWLockFileCorruptedError, RWLockFileFormatError) as error:
        raise CCTError(
            f"{top}/.dvc/tmp/rwlock is damaged, as a full disk or a power cut leaves it: remove it when no other DVC "
            "command runs"
        ) from error
    except (DvcException, SCMError) as error:
        raise CCTError(f"dvc status failed: {error}") from error
    stale = [name.rpartition(":")[2] for name in status if not name.endswith(".dvc")]
    if stale:
        raise CCTError(
            f"the files here were not made by the present parameters and code ({', '.join(stale)} changed): "
            "run dvc repro first"
        )


class Experiment(NamedTuple):
    """A DVC experiment. Experiments of other baselines may have the same name."""

    name: str
    baseline: str  # commit
    commit: str


def list_experiments() -> list[Experiment]:
    """All experiments, sorted by name. DVC stores each as the git reference refs/exps/<baseline>/<name>."""
    found = []
    for line in git(repository_root(), "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/").splitlines():
        commit, _, reference = line.partition(" ")
        parts = reference.split("/")
        if len(parts) == 5 and len(parts[2]) == 2 and len(parts[3]) == 38:
            found.append(Experiment(parts[4], parts[2] + parts[3], commit))
    return sorted(found)


def find_experiment(name: str) -> Experiment:
    """The experiment with this name.

    Raises:
        CCTError: no experiment has this name.
    """
    found = next((experiment for experiment in list_experiments() if experiment.name == name), None)
    if not found:
        raise CCTError(f"no experiment {name!r}: dvc exp list --all-commits shows them all")
    return found
