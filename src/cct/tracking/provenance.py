"""The provenance of a run, and the command that repeats it."""

import hashlib
import json
import os
import shlex
from pathlib import Path
from typing import NamedTuple

from cct.overrides import arguments
from cct.params import ParamsError, flatten, parse_yaml, read_yaml
from cct.paths import PARAMS
from cct.repository import CODE_PATHSPEC, git, repository_root


class Provenance(NamedTuple):
    """The experiment, the commit and the state of the code of a run."""

    name: str  # the experiment, or branch@commit
    experiment: str  # its name, or empty
    commit: str  # the commit that is checked out; the baseline of an experiment
    dirty: str  # "true" if the code differed from the commit, else "false"


def current_provenance() -> Provenance:
    """The provenance of the run in this process."""
    top = repository_root()
    commit = os.environ.get("DVC_EXP_BASELINE_REV") or git(top, "rev-parse", "HEAD")
    experiment = os.environ.get("DVC_EXP_NAME", "")
    branch = git(top, "rev-parse", "--abbrev-ref", "HEAD")
    return Provenance(
        name=experiment or (f"{branch}@{commit[:7]}" if commit else top.name),
        experiment=experiment,
        commit=commit,
        dirty=str(bool(git(Path.cwd(), "status", "--porcelain", "--untracked-files=no", *CODE_PATHSPEC))).lower(),
    )


def logged_parameters(folder: Path) -> dict[str, str]:
    """The parameters in `folder`, flattened, as MLflow stores them."""
    return {key: str(value) for key, value in flatten(read_yaml(folder / PARAMS)).items()}


def lock_digest(text: str) -> str:
    """Sha256 of all stages in a `dvc.lock` except `plot`, which logs the file before it has an entry for `plot`."""
    stages = parse_yaml(text, where="dvc.lock").get("stages", {}) if text.strip() else {}
    known = {name: stage for name, stage in stages.items() if name != "plot"}
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def reproduce_command(folder: Path, source: Provenance) -> str:
    """The command that repeats a run: it checks out the commit, and sets the parameters that differ from it."""
    committed = git(repository_root(), "show", f"{source.commit}:{PARAMS}")
    try:
        before = flatten(parse_yaml(committed, where="the commit's params.yaml"))
    except ParamsError:  # no file is committed, or an older version of this project wrote it
        return "dvc repro"
    now = flatten(read_yaml(folder / PARAMS))
    changed = {key: value for key, value in now.items() if key not in before or before[key] != value}
    words = shlex.join(["dvc", "exp", "run", *arguments(changed)])
    aside = "  # and changes of the code that were not committed" if source.dirty == "true" else ""
    return f"git checkout {source.commit[:12]} && {words}{aside}"
