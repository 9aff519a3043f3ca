"""The experiments that an ablation needs.

An experiment's name ends in a digest of everything that decides its result besides the machine. That is its whole set
of parameters, the data source, the source files that the stages up to `evaluate` depend on, and the versions of the
packages that compute. So a finished experiment with the same name is not run again, whatever its commit.
"""

import collections
import difflib
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, field_validator

from cct.errors import CCTError
from cct.experiments.settings import merged, read_settings
from cct.experiments.workspace import named_files
from cct.lockfile import dvc_digest
from cct.models.workload import workload
from cct.params import ParamsError, Section, check, flatten, load, mistakes_message, parse, read_yaml
from cct.paths import PARAMS
from cct.pipeline import read_stages, stage_code_files
from cct.runtime.machine import installed_packages
from cct.tasks.checks import misfits
from cct.training.checkpoints import run_digest

PACKAGES = ("keras", "numpy")  # they compute besides the backend
STAGES = ("download", "preprocess", "train", "evaluate")  # they decide the results that are compared
NAME_PATTERN = r"^[a-z0-9]+([.-][a-z0-9]+)*$"  # a name is also a part of a git reference
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Overrides = dict[str, Annotated[dict[str, Any], Field(min_length=1)]]


class File(Section):
    """The schema of an ablation's file."""

    base: Overrides = Field(description="differences from params.yaml, by section")
    base_seeds: list[Seed] = Field(min_length=1, description="train.seed of each experiment of the base")
    seeds: list[Seed] = Field(min_length=1, description="train.seed of each experiment of a change")
    changes: dict[str, dict[Name, Overrides]] = Field(min_length=1, description="by group and name: the differences")

    @field_validator("base_seeds", "seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed is a duplicate")
        return seeds


class Variant(NamedTuple):
    """The base, or the base with one change."""

    name: str
    group: str  # empty for the base
    overrides: dict[str, Any]  # by full parameter name: the base's on params.yaml, a change's on the base
    experiments: dict[str, dict[str, Any]]  # a whole set of parameters for each seed, by the experiment's name


class Plan(NamedTuple):
    """Everything that an ablation compares."""

    name: str  # equal for equal bases
    title: str
    base: Variant
    changes: list[Variant]
    idle: list[str]  # names of changes that the base has already

    def variants(self) -> list[Variant]:
        """The base and the changes."""
        return [self.base, *self.changes]

    def experiments(self, only: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """Parameters by the name of the experiment, for the base and all changes, or for the base and some changes.

        Raises:
            CCTError: `only` has an unknown change.
        """
        known = [variant.name for variant in self.changes]
        unknown = [name for name in only if name not in known + self.idle]
        if unknown:
            near = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise CCTError(f"no change {', '.join(map(repr, unknown))} in this ablation; {hint}")
        chosen = [variant for variant in self.variants() if not only or variant.name in ("base", *only)]
        return {name: content for variant in chosen for name, content in variant.experiments.items()}


class _Change(NamedTuple):
    """A change as it is in the file, and the whole set of parameters that it makes of the base."""

    group: str
    overrides: dict[str, Any]
    content: dict[str, Any]


def make_plan(file: Path, settings: Sequence[str] = (), seeds: Sequence[int] = ()) -> Plan:
    """Read an ablation, and resolve every experiment of it.

    Args:
        file: the file of the ablation; `File` is its schema.
        settings: `train.epochs=3` and so on. They change the base, and so every experiment.
        seeds: the seeds of every change, instead of the seeds in the file.

    Raises:
        ParamsError: the file, a setting, or a resulting set of parameters is wrong; the message has every mistake.
    """
    load(PARAMS)
    given, here = parse(File, read_yaml(file), where=file), read_yaml(PARAMS)
    if seeds:
        given = parse(File, given.model_dump() | {"seeds": [*seeds]}, where=Path("--seeds"))
    if not re.fullmatch(NAME_PATTERN, file.stem):
        raise ParamsError(f"{file}: its name is a part of every experiment's, and may have a-z, 0-9, . and - only")
    overrides = flatten(given.base) | read_settings(settings)
    base = merged(here, overrides)
    changes = {
        name: _Change(group, flatten(change), merged(base, flatten(change)))
        for group, named in given.changes.items()
        for name, change in named.items()
    }
    idle = [name for name, change in changes.items() if change.content == base]
    mistakes = _all_mistakes(given, overrides, base, changes)
    if len(idle) == len(changes):
        mistakes.append("changes: there is nothing to compare, none of them changes the base")
    if mistakes:
        where = f"{file} with {' '.join(f'-S {setting}' for setting in settings)}" if settings else file
        raise ParamsError(mistakes_message(where, mistakes))
    return Plan(
        name=f"{file.stem}-{_digest(base)}",
        title=file.stem,
        base=_variant(file.stem, "base", _Change("", overrides, base), given.base_seeds),
        changes=[_variant(file.stem, name, changes[name], given.seeds) for name in changes if name not in idle],
        idle=idle,
    )


def _all_mistakes(
    given: File, overrides: dict[str, Any], base: dict[str, Any], changes: Mapping[str, _Change]
) -> list[str]:
    known = _mistakes(base)
    mistakes = [f"base: {mistake}" for mistake in known]
    names = collections.Counter(["base", *(name for group in given.changes.values() for name in group)])
    mistakes += [
        f"{name}: a change has this name already, or it is 'base': rename it"
        for name, count in names.items()
        if count > 1
    ]
    for name, change in changes.items():
        mistakes += [f"{name}: {mistake}" for mistake in _mistakes(change.content) if mistake not in known]
    sets = {"base": overrides} | {name: change.overrides for name, change in changes.items()}
    return mistakes + [
        f"{name}: train.seed cannot be changed here; use seeds and base_seeds"
        for name, flat in sets.items()
        if "train.seed" in flat
    ]


def _variant(title: str, name: str, change: _Change, seeds: Sequence[int]) -> Variant:
    experiments = {}
    for seed in seeds:
        whole = merged(change.content, {"train.seed": seed})
        experiments[f"{title}-{name}-s{seed}-{_digest(whole)}"] = whole
    return Variant(name, change.group, change.overrides, experiments)


def _mistakes(content: dict[str, Any]) -> list[str]:
    """The mistakes in a whole set of parameters, and all that does not fit their data, a line each."""
    try:
        found = misfits(check(content, where=PARAMS))
    except ParamsError as error:
        found = [error]
    return [line for error in found for line in _lines(error)]


def _lines(error: CCTError) -> list[str]:
    """The lines of a message, without the one that counts them."""
    first, *lines = str(error).splitlines()
    return [line.strip() for line in lines] or [first]


def code_files() -> list[Path]:
    """The source files that decide a result."""
    return stage_code_files(*STAGES)


def _digest(content: Mapping[str, Any]) -> str:
    stages = read_stages()
    named = named_files(content)
    parts = {name: section for name, section in content.items() if name != "plot"}
    parts["stages"] = {name: stages[name] for name in STAGES}
    parts["folders"] = {str(path): _folder_digest(path) for path in named if path.is_dir()}
    parts["versions"] = {name: _installed().get(name) for name in (content["runtime"]["backend"], *PACKAGES)}
    return run_digest(parts, [*code_files(), *(path for path in named if not path.is_dir())])[:8]


@functools.cache
def _installed() -> dict[str, str]:
    """Version of every installed package. They are read once for all experiments."""
    return installed_packages()


@functools.cache
def _folder_digest(path: Path) -> str:
    """The digest of a folder of images. It is read once for all experiments."""
    return dvc_digest(path)


def training_work(content: Mapping[str, Any]) -> float:
    """The work of an experiment's training, relative to other experiments."""
    train = content["train"]["epochs"] * content["preprocess"]["train_fraction"]
    return train * workload(content["model"])
