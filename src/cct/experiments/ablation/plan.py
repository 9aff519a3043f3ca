"""Which experiments an ablation needs.

An experiment's name ends in a digest of all that decides its result: its whole set of parameters, the data source, and
the files that DVC is told the stages up to `evaluate` depend on. What is there under its name is therefore not run
again, on whatever commit it was made.
"""

import collections
import contextlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cct.data.sources import read_source
from cct.errors import CCTError
from cct.models.architectures import ModelError, ModelParams, resolve_architecture
from cct.models.cost import model_cost
from cct.params import ParamsError, Section, flatten, load, parse, read_yaml
from cct.training.checkpoints import run_digest

STAGES = ("download", "preprocess", "train", "evaluate")  # that decide what is compared
NAME_PATTERN = r"^[a-z0-9]+([.-][a-z0-9]+)*$"  # a part of a git reference, too
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Overrides = dict[str, Annotated[dict[str, Any], Field(min_length=1)]]


class File(Section):
    """An ablation, as its file says it."""

    base: Overrides = Field(description="what differs from params.yaml, by section")
    base_seeds: list[Seed] = Field(min_length=1, description="train.seed of each experiment of the base")
    seeds: list[Seed] = Field(min_length=1, description="train.seed of each experiment of a change")
    changes: dict[str, dict[Name, Overrides]] = Field(min_length=1, description="by group, by name: what differs")

    @field_validator("base_seeds", "seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands twice")
        return seeds


class Variant(NamedTuple):
    """The base, or one change of it."""

    name: str
    group: str  # nothing for the base
    overrides: dict[str, Any]  # by the full name of the parameter: of the base on params.yaml, of a change on the base
    experiments: dict[str, dict[str, Any]]  # name: its whole set of parameters, one for each seed


class Plan(NamedTuple):
    """All that is to be compared."""

    name: str  # equal where the base is
    title: str
    base: Variant
    changes: list[Variant]
    idle: list[str]  # changes that change nothing, because the base is so already

    def variants(self) -> list[Variant]:
        return [self.base, *self.changes]

    def experiments(self, only: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """Parameters by the name of the experiment: of the base, and of all changes or the named ones.

        Raises:
            CCTError: there is no such change.
        """
        known = [variant.name for variant in self.changes]
        unknown = [name for name in only if name not in known + self.idle]
        if unknown:
            raise CCTError(f"no change {', '.join(map(repr, unknown))} in this ablation; there are: {', '.join(known)}")
        chosen = [variant for variant in self.variants() if not only or variant.name in ("base", *only)]
        return {name: content for variant in chosen for name, content in variant.experiments.items()}


def make_plan(file: Path, settings: Sequence[str] = (), seeds: Sequence[int] = ()) -> Plan:
    """Read an ablation and resolve every experiment of it.

    Args:
        file: see `File`.
        settings: `train.epochs=3` and so on: for the base, and with it for all.
        seeds: of every change, in place of the file's.

    Raises:
        ParamsError: the file, a setting, or any resulting set of parameters is wrong; with every mistake.
    """
    load(Path("params.yaml"))
    given, here = parse(File, read_yaml(file), where=file), read_yaml(Path("params.yaml"))
    if seeds:
        given = parse(File, given.model_dump() | {"seeds": [*seeds]}, where=Path("--seeds"))
    overrides = flatten(given.base) | _settings(settings)
    base = _merged(here, overrides)
    known = _mistakes(base)
    mistakes = [f"base: {mistake}" for mistake in known]
    names = collections.Counter(["base", *(name for group in given.changes.values() for name in group)])
    mistakes += [f"{name}: stands twice, or is the base's own name" for name, count in names.items() if count > 1]
    wanted = {}
    for group, changes in given.changes.items():
        for name, change in changes.items():
            flat = flatten(change)
            content = _merged(base, flat)
            wanted[name] = (group, flat, content)
            mistakes += [f"{name}: {mistake}" for mistake in _mistakes(content) if mistake not in known]
    sets = {"base": overrides} | {name: flat for name, (_, flat, _) in wanted.items()}
    mistakes += [
        f"{name}: train.seed is for seeds and base_seeds to say" for name in sets if "train.seed" in sets[name]
    ]
    idle = [name for name, (_, _, content) in wanted.items() if content == base]
    if len(idle) == len(wanted):
        mistakes.append("changes: there is nothing to compare, none of them changes the base")
    if mistakes:
        where = f"{file} with {' '.join(f'-S {setting}' for setting in settings)}" if settings else file
        count = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
        raise ParamsError("\n  ".join([f"{where} has {count}:", *mistakes]))
    title = file.stem
    if not re.fullmatch(NAME_PATTERN, title):
        raise ParamsError(f"{file}: its name is a part of every experiment's, and may have a-z, 0-9, . and - only")

    def resolved(name: str, group: str, flat: dict[str, Any], content: dict, seeds: Sequence[int]) -> Variant:
        experiments = {}
        for seed in seeds:
            whole = _merged(content, {"train.seed": seed})
            experiments[f"{title}-{name}-s{seed}-{_digest(whole)}"] = whole
        return Variant(name, group, flat, experiments)

    return Plan(
        name=f"{title}-{_digest(base)}",
        title=title,
        base=resolved("base", "", overrides, base, given.base_seeds),
        changes=[resolved(name, *each, given.seeds) for name, each in wanted.items() if name not in idle],
        idle=idle,
    )


def _settings(settings: Sequence[str]) -> dict[str, Any]:
    chosen = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (equals and "." in name):
            raise ParamsError(f"-S {setting}: expected section.name=value, as in train.epochs=3")
        try:
            chosen[name] = YAML(typ="safe", pure=True).load(text)
        except (YAMLError, ValueError) as error:  # ValueError: of date(), for 2026-02-30
            raise ParamsError(f"-S {setting}: {text!r} is no value of YAML") from error
    return chosen


def _merged(content: Mapping[str, Any], flat: Mapping[str, Any]) -> dict[str, Any]:
    """A set of parameters changed by others, which are given by their full names."""
    merged = {section: dict(fields) if isinstance(fields, dict) else fields for section, fields in content.items()}
    for path, value in flat.items():
        section, _, field = path.partition(".")
        merged.setdefault(section, {})[field] = value
    return merged


def _mistakes(content: Mapping[str, Any]) -> list[str]:
    """What `params.load` says of a whole set of parameters, a line each."""
    with tempfile.TemporaryDirectory(prefix="cct-ablation-") as folder:
        path = Path(folder, "params.yaml")
        YAML(typ="safe", pure=True).dump(dict(content), path)
        try:
            read_source(Path(load(path, "data").source))
        except ParamsError as error:
            first, *lines = str(error).splitlines()
            return [line.strip() for line in lines] or [first]
    return []


def _stages() -> dict[str, Any]:
    stages = read_yaml(Path("dvc.yaml"))["stages"]
    return {name: stages[name] for name in STAGES}


def code_files() -> list[str]:
    """The source files that decide a result."""
    return sorted({name for stage in _stages().values() for name in stage["deps"] if name.endswith(".py")})


def _digest(content: Mapping[str, Any]) -> str:
    named = [content["data"]["source"], content["train"]["init_from"]]
    parts = {name: section for name, section in content.items() if name != "plot"} | {"stages": _stages()}
    return run_digest(parts, [Path(name) for name in (*code_files(), *named) if name])[:8]


def workload(content: Mapping[str, Any]) -> float:
    """Work of an experiment's training, to be compared with that of others: images times multiply-adds of each."""
    model = resolve_architecture(ModelParams.model_validate(content["model"]))
    with contextlib.suppress(ModelError):  # not of this size, which is only a guess
        image = model_cost(model, height=32, width=32, channels=3, classes=10)
        images = content["train"]["epochs"] * content["preprocess"]["train_fraction"]
        return images * (image.macs + image.attention_macs)
    return 1.0
