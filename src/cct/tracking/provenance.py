"""Where a run comes from, and the command that repeats it."""

import hashlib
import json
import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from cct.params import arguments, flatten, read_yaml
from cct.repository import CODE_PATHSPEC, git, repository_root


class Provenance(NamedTuple):
    """Where a run comes from."""

    name: str  # the experiment, or branch@commit
    experiment: str  # its name, or nothing
    commit: str  # that is checked out; of an experiment, its baseline
    dirty: str  # "true" where more than the parameters differed from that commit


def current_provenance() -> Provenance:
    """Where the run of this process comes from."""
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
    """`params.yaml` flattened, as MLflow has it."""
    return {key: str(value) for key, value in flatten(read_yaml(folder / "params.yaml")).items()}


def lock_digest(text: str) -> str:
    """Sha256 of what a `dvc.lock` says of all stages before `plot`, which reads it before its own entry is there."""
    stages = (_parse(text) or {}).get("stages", {})
    known = {name: stage for name, stage in stages.items() if name != "plot"}
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def _parse(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def reproduce_command(folder: Path, source: Provenance) -> str:
    """What makes the same run again: the commit and the parameters that differ from it."""
    committed = git(repository_root(), "show", f"{source.commit}:params.yaml")
    if not committed:
        return "dvc repro"
    before, now = flatten(_parse(committed)), flatten(read_yaml(folder / "params.yaml"))
    changed = {key: value for key, value in now.items() if key not in before or before[key] != value}
    words = shlex.join(["dvc", "exp", "run", *arguments(changed)])
    aside = "  # and the changes of the code that were not committed" if source.dirty == "true" else ""
    return f"git checkout {source.commit[:12]} && {words}{aside}"
