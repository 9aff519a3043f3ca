"""The pipeline in `dvc.yaml`: the files that its stages write, and the code that decides their results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cct.errors import CCTError
from cct.params import read_yaml
from cct.paths import DVC_YAML


def read_stages(top: Path = Path()) -> dict[str, Any]:
    """The stages by name, in the order in which they run."""
    return read_yaml(top / DVC_YAML)["stages"]


def stage_outputs(stage: Mapping[str, Any]) -> list[str]:
    """The paths that a stage writes. In `dvc.yaml` a path with options is a mapping of one key."""
    entries = [*stage.get("outs", []), *stage.get("metrics", [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def pipeline_outputs(top: Path = Path()) -> list[str]:
    """All paths that the stages write, relative to `top`, in the order of the stages."""
    return [name for stage in read_stages(top).values() for name in stage_outputs(stage)]


def stages_before(name: str, top: Path = Path()) -> list[str]:
    """The stages whose results a stage uses, directly or through other stages, in the order in which they run."""
    stages, wanted = read_stages(top), {name}
    for stage in reversed(stages):  # a stage depends on earlier stages only
        inputs = {dep for later in wanted for dep in stages[later]["deps"]}
        if inputs & set(stage_outputs(stages[stage])):
            wanted.add(stage)
    return [stage for stage in stages if stage in wanted - {name}]


def stage_code_files(*stages: str, top: Path = Path()) -> list[Path]:
    """The source files that decide the results of some stages: the stages' dependencies in `dvc.yaml`.

    Args:
        stages: names of the stages.
        top: the repository root.

    Returns:
        Files relative to `top`, each once, in alphabetical order. A folder stands for all Python files in it.

    Raises:
        CCTError: `dvc.yaml` lists no source files, or a listed file is missing.
    """
    known = read_stages(top)
    listed = {dep for stage in stages for dep in known[stage]["deps"] if dep.startswith("src/")}
    files = set()
    for dep in listed:
        path = top / dep
        inside = path.rglob("*.py") if path.is_dir() else [path]
        files |= {file.relative_to(top) for file in inside}
    missing = sorted(str(file) for file in files if not (top / file).is_file())
    if missing or not files:
        problem = f"which are not there: {', '.join(missing)}" if missing else "none at all"
        raise CCTError(f"{DVC_YAML} lists source files of {', '.join(stages)}, {problem}. Run make deps")
    return sorted(files)
