"""What each ingredient of a recipe is worth: one experiment of DVC's for each change, one table and one figure of all.

An experiment's name ends in a digest of all that decides its result: its whole set of parameters, the data source, and
the files that DVC is told the stages up to `evaluate` depend on. What is there under its name is therefore not run
again, on whatever commit it was made.
"""

import collections
import contextlib
import json
import math
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from pydantic import Field, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cct import clones, data, machine, plots, runs, states, tables, tracking, variants, verify
from cct.errors import CCTError
from cct.files import root, write_atomically
from cct.metrics import DECIMALS, wilson_interval
from cct.params import ParamsError, Section, arguments, flatten, load, parse, read_yaml
from cct.tracking import HISTORY, METRICS, MODEL, PREDICTIONS, git

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("reports/ablation")
STAGES = ("download", "preprocess", "train", "evaluate")  # that decide what is compared
COLOURS = (plots.BLUE, plots.ORANGE, plots.GREEN, "#CC79A7")  # of the groups, in turn
PACKAGES = ("cct", "dvc", "keras", "mlflow", "numpy", "tensorflow")
LATER = "{}; table and figure are complete: the same command brings them into MLflow when it answers again"
NAME = r"^[a-z0-9]+([.-][a-z0-9]+)*$"  # a part of a git reference, too

Name = Annotated[str, Field(pattern=NAME)]
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


class Result(NamedTuple):
    """What an experiment of DVC's came to."""

    experiment: runs.Experiment
    picture_n: np.ndarray  # its index in the test split and its class, as one string each
    correct_n: np.ndarray  # of the n test pictures: was it right
    test: dict[str, float]
    val_accuracy: float


class Difference(NamedTuple):
    """Between two accuracies, in percentage points, with its standard errors."""

    points: float
    pictures: float  # other test pictures
    seeds: float | None  # other seeds; None where every variant has one

    @property
    def error(self) -> float:
        return math.hypot(self.pictures, self.seeds or 0.0)

    def half_width(self, level: float, degrees: int) -> float:
        """Of the interval: Student's, because a deviation of few seeds is itself uncertain.

        Args:
            level: the share of intervals that shall cover the truth.
            degrees: of freedom of the seeds' deviation; those of both errors together are Satterthwaite's.
        """
        from scipy import stats

        together = degrees * (self.error / self.seeds) ** 4 if self.seeds else math.inf
        return float(stats.t.ppf((1 + level) / 2, together)) * self.error


def plan(file: Path, settings: Sequence[str] = (), seeds: Sequence[int] = ()) -> Plan:
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
    if not re.fullmatch(NAME, title):
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
            data.read_source(Path(load(path, "data").source))
        except ParamsError as error:
            first, *lines = str(error).splitlines()
            return [line.strip() for line in lines] or [first]
    return []


def _stages() -> dict[str, Any]:
    stages = read_yaml(Path("dvc.yaml"))["stages"]
    return {name: stages[name] for name in STAGES}


def _code() -> list[str]:
    """The source files that decide a result."""
    return sorted({name for stage in _stages().values() for name in stage["deps"] if name.endswith(".py")})


def _digest(content: Mapping[str, Any]) -> str:
    named = [content["data"]["source"], content["train"]["init_from"]]
    parts = {name: section for name, section in content.items() if name != "plot"} | {"stages": _stages()}
    return states.fingerprint(parts, [Path(name) for name in (*_code(), *named) if name])[:8]


def cost(content: Mapping[str, Any]) -> float:
    """Work of an experiment's training, to be compared with that of others: pictures times multiply-adds of each."""
    model = variants.resolve(variants.ModelParams.model_validate(content["model"]))
    with contextlib.suppress(variants.ModelError):  # not of this size, which is only a guess
        picture = variants.cost(model, height=32, width=32, channels=3, classes=10)
        pictures = content["train"]["epochs"] * content["preprocess"]["train_fraction"]
        return pictures * (picture.macs + picture.attention_macs)
    return 1.0


def run(file: Path, *, settings: Sequence[str], seeds: Sequence[int], only: Sequence[str], jobs: int) -> bool:
    """Run what is missing of an ablation, and draw table and figure of all that is there; whether nothing failed.

    Raises:
        CCTError: the ablation or the work tree is not fit, DVC's queue has other tasks, or the base has no result.
    """
    whole = plan(file, settings, seeds)
    wanted, found = whole.experiments(only), _finished(whole)
    missing = {name: wanted[name] for name in wanted if name not in found}
    print(f"{whole.name}: {len(wanted)} experiments, {len(wanted) - len(missing)} of them are there")
    if whole.idle:
        print(f"left out, because the base is so already: {', '.join(whole.idle)}")
    results: dict[str, Result] = {}
    failed = []
    if missing:
        failed = _run_missing(whole, missing, jobs=jobs, done=len(wanted) - len(missing), results=results)
    for name, experiment in _finished(whole).items():
        if name not in results:
            results[name] = read(experiment)
    if not any(name in results for name in whole.base.experiments):
        raise CCTError("the base has no result, so there is nothing to compare with")
    store, children, seconds = _tracked([result.experiment for result in results.values()])
    summary = summarise(whole, results, seconds=seconds)
    write(summary, whole.title)
    if store:
        _parent(store, whole, summary, children)
    print(f"\n{table(summary)}\n{FOLDER}/{whole.title}.md, .png and .json")
    return not failed


def _finished(whole: Plan) -> dict[str, runs.Experiment]:
    """The experiments of a plan that DVC has, by name: of several commits', the one of this."""
    names, head = whole.experiments(), git(root(), "rev-parse", "HEAD")
    ordered = sorted(runs.experiments(), key=lambda experiment: experiment.baseline == head)
    return {experiment.name: experiment for experiment in ordered if experiment.name in names}


def _run_missing(
    whole: Plan, missing: dict[str, dict], *, jobs: int, done: int, results: dict[str, Result]
) -> list[str]:
    """Run experiments through DVC's queue, the base first, then the longest; the names of those that failed."""
    from cct.workers import Queue

    _fit(missing.values())
    work = {name: cost(content) for name, content in missing.items()}
    failed, total, start = [], done + len(missing), time.monotonic()

    def ended(name: str) -> None:
        finished = _finished(whole).get(name)
        ready = total - len(left) + 1
        if finished:
            results[name] = read(finished)
            text = f"{100 * results[name].test['accuracy']:.2f} % of the test pictures"
        else:
            failed.append(name)
            log = queue.log(name)
            text = f"failed: dvc queue logs {name} ({log})" if log else "lost with its worker; the same command goes on"
        left.remove(name)
        rest = sum(work[other] for other in left)
        ratio = rest / max(sum(work.values()) - rest, 1e-9)
        remaining = f"; about {math.ceil(ratio * (time.monotonic() - start) / 60)} min left" if left else ""
        print(f"[{ready}/{total}] {name}: {text}{remaining}", flush=True)

    with _alone(), Queue() as queue:
        others = (queue.waiting() | queue.running()).keys() - whole.experiments().keys()
        if others:
            raise CCTError(
                f"DVC's queue has tasks that are not of this ablation ({', '.join(sorted(others))}): have them run "
                "first (dvc queue start, dvc queue status), or take them out (dvc queue remove, dvc queue kill)"
            )
        left = sorted(missing, key=lambda name: (name not in whole.base.experiments, -work[name]))
        here = flatten(read_yaml(Path("params.yaml")))
        changed = {
            name: {key: value for key, value in flatten(missing[name]).items() if here.get(key, ...) != value}
            for name in left
        }
        print(f"{len(missing)} to run, {jobs} at a time; Ctrl-C stops, and the same command goes on", flush=True)
        queue.work({name: arguments(changed[name])[1::2] for name in left}, jobs=jobs, ended=ended)
    return failed


def _fit(contents: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a work tree that experiments in folders of their own would not see as it is, or that has no name."""
    top = root()
    if not git(top, "rev-parse", "HEAD"):
        raise CCTError(f"{top} has no commit of git's, and an experiment of DVC's needs one")
    changed = git(top, "diff", "--name-only", "HEAD", *tracking.CODE).splitlines()
    if changed:
        raise CCTError(
            f"the work tree has changes that are not committed ({', '.join(changed)}): commit or stash them first, so "
            "that one commit says what was compared"
        )
    sources = {content["data"]["source"] for content in contents}
    models = {content["train"]["init_from"] for content in contents} - {None}
    named = [*_code(), *sorted(name for name in sources | models if not Path(name).is_absolute())]
    unknown = [name for name in named if not git(top, "ls-files", name)]
    if unknown:
        raise CCTError(
            f"not in git, so not in the folders that experiments run in: {', '.join(unknown)}: git add and commit first"
        )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    folder = root() / ".cct"
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / "ablation.lock").acquire(timeout=0):
            yield
    except Timeout:
        raise CCTError("another cct ablate is at work in this repository: wait for its end") from None


def read(experiment: runs.Experiment) -> Result:
    """What an experiment came to, from the files that DVC has of it.

    Raises:
        CCTError: DVC does not have them.
    """
    with tempfile.TemporaryDirectory(prefix="cct-ablation-") as folder:
        clones.fetch(root(), experiment.commit, list(map(str, (PREDICTIONS, METRICS, HISTORY))), Path(folder))
        index_n, label_n, predicted_n, _, classes = tables.read_predictions(Path(folder, PREDICTIONS))
        test = tables.read_metrics(Path(folder, METRICS))["test"]
        history = tables.read_history(Path(folder, HISTORY))
    chosen = int(np.flatnonzero(history["chosen"])[0])
    names = np.array(classes)[label_n]
    return Result(
        experiment=experiment,
        picture_n=np.char.add(index_n.astype(str), names),
        correct_n=label_n == predicted_n,
        test=test,
        val_accuracy=float(tables.kept_accuracy({name: column[chosen] for name, column in history.items()})),
    )


def seed_deviation(variants_s: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation of an accuracy from seed to seed, pooled over variants; None where all have one seed."""
    several = [accuracies for accuracies in variants_s if len(accuracies) > 1]
    degrees = sum(len(accuracies) - 1 for accuracies in several)
    if not degrees:
        return None
    return math.sqrt(sum(statistics.variance(a) * (len(a) - 1) for a in several) / degrees)


def difference(changed_sn: np.ndarray, base_sn: np.ndarray, deviation: float | None) -> Difference:
    """How much more accurate a change is than the base.

    Both saw the same n pictures, so that the error over pictures is that of the paired differences: what both get right
    or wrong cancels. Seeds are not pairs: one seed is other random numbers once anything is changed.

    Args:
        changed_sn: seeds x pictures, was the picture right.
        base_sn: as `changed_sn`, with seeds of its own.
        deviation: as `seed_deviation` returns it.
    """
    paired_n = changed_sn.mean(axis=0) - base_sn.mean(axis=0)
    pictures = paired_n.std(ddof=1) / math.sqrt(len(paired_n))
    seeds = None if deviation is None else 100 * deviation * math.sqrt(1 / len(changed_sn) + 1 / len(base_sn))
    return Difference(100 * float(paired_n.mean()), 100 * float(pictures), seeds)


def summarise(whole: Plan, results: Mapping[str, Result], *, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Every number of an ablation, ready for JSON: the base, the changes (the best first), and what is missing.

    Raises:
        CCTError: two experiments were not tested on the same pictures.
    """
    there = {v.name: [results[n] for n in v.experiments if n in results] for v in whole.variants()}
    first = there["base"][0]
    for result in results.values():
        if not np.array_equal(result.picture_n, first.picture_n):
            raise CCTError(f"{result.experiment.name} and {first.experiment.name} have other test pictures")
    correct = {name: np.array([r.correct_n for r in group]) for name, group in there.items() if group}
    deviation = seed_deviation([correct_sn.mean(axis=1).tolist() for correct_sn in correct.values()])
    degrees = sum(len(correct_sn) - 1 for correct_sn in correct.values())
    content = next(iter(whole.base.experiments.values()))
    level = content["evaluate"]["confidence"]
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)

    def described(variant: Variant) -> dict[str, Any]:
        group, correct_sn = there[variant.name], correct[variant.name]
        accuracy, (low, high) = float(correct_sn.mean()), _interval(correct_sn, level, z)
        times = [seconds[r.experiment.name] for r in group if r.experiment.name in seconds]
        row = {
            "name": variant.name,
            "overrides": variant.overrides,
            "test_accuracy": round(accuracy, DECIMALS),
            "test_accuracy_low": round(low, DECIMALS),
            "test_accuracy_high": round(high, DECIMALS),
            "val_accuracy": round(statistics.fmean(r.val_accuracy for r in group), DECIMALS),
            "train_seconds": round(statistics.fmean(times), 1) if times else None,
            "experiments": [
                {
                    "name": r.experiment.name,
                    "commit": r.experiment.commit,
                    "baseline": r.experiment.baseline,
                    "seed": variant.experiments[r.experiment.name]["train"]["seed"],
                    "test_accuracy": r.test["accuracy"],
                    "val_accuracy": r.val_accuracy,
                }
                for r in group
            ],
        }
        if variant.group:
            found = difference(correct_sn, correct["base"], deviation)
            half = found.half_width(level, degrees)
            ends = [round(found.points + sign * half, DECIMALS - 2) for sign in (-1, 1)]
            row |= {"group": variant.group, "points": round(found.points, DECIMALS - 2)}
            row |= {"points_low": ends[0], "points_high": ends[1], "standard_error": round(found.error, DECIMALS - 2)}
            row |= {"standard_error_of_pictures": round(found.pictures, DECIMALS - 2)}
            row |= {"standard_error_of_seeds": None if found.seeds is None else round(found.seeds, DECIMALS - 2)}
        return row

    rows = [described(variant) for variant in whole.changes if there[variant.name]]
    groups = list(dict.fromkeys(variant.group for variant in whole.changes))
    return {
        "kind": "ablation",
        "ablation": whole.name,
        "commit": git(root(), "rev-parse", "HEAD"),
        "data": data.read_source(Path(content["data"]["source"])).name,
        "test_images": len(first.correct_n),
        "confidence": level,
        "seed_deviation": None if deviation is None else round(100 * deviation, DECIMALS - 2),
        "seed_degrees_of_freedom": degrees,
        "base": described(whole.base),
        "changes": sorted(rows, key=lambda row: (groups.index(row["group"]), -row["points"], row["name"])),
        "missing": [variant.name for variant in whole.changes if not there[variant.name]],
        "params": content,
        "trained_on": _kinds(first.experiment),
        "machine": {"cpu": machine.cpu()["model"], "cores": machine.cores(), "python": platform.python_version()},
        "packages": {name: version for name, version in machine.packages().items() if name in PACKAGES},
    }


def _interval(correct_sn: np.ndarray, level: float, z: float) -> tuple[float, float]:
    """Of an accuracy, over test pictures: Wilson's of one seed, the normal one of the mean of several."""
    if len(correct_sn) == 1:
        return wilson_interval(int(correct_sn.sum()), correct_sn.size, level)
    mean_n = correct_sn.mean(axis=0)
    half = z * float(mean_n.std(ddof=1)) / math.sqrt(len(mean_n))
    return float(mean_n.mean()) - half, float(mean_n.mean()) + half


def _kinds(experiment: runs.Experiment) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="cct-ablation-") as folder:
        clones.fetch(root(), experiment.commit, [str(MODEL)], Path(folder))
        return verify.trained_on(Path(folder, MODEL))


def write(summary: Mapping[str, Any], title: str) -> None:
    """Write table, figure and numbers into `reports/ablation/`."""
    for suffix, text in (("json", json.dumps(summary, indent=2)), ("md", table(summary))):
        write_atomically(FOLDER / f"{title}.{suffix}", f"{text.rstrip()}\n".encode())
    if summary["changes"]:
        plots.save(figure(summary), FOLDER / f"{title}.png", dpi=100)


def table(summary: Mapping[str, Any]) -> str:
    """An ablation as Markdown."""
    base, params, level = summary["base"], summary["params"], f"{100 * summary['confidence']:g} %"
    seeds = len(base["experiments"])
    several = summary["seed_deviation"] is not None
    lines = [
        f"# {summary['ablation']}",
        "",
        f"`{params['model']['name']}` on {100 * params['preprocess']['train_fraction']:g} % of {summary['data']}, "
        f"{params['train']['epochs']} epochs: **{_percent(base['test_accuracy'])} %** of {summary['test_images']:,} "
        f"test pictures ({_percent(base['test_accuracy_low'])} to {_percent(base['test_accuracy_high'])}), "
        f"{seeds} seed{'s' if seeds > 1 else ''}. Each row is the base with one change.",
        "",
        f"| group | change | test accuracy | difference, points ({level} interval) | validation | training |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in summary["changes"]:
        points = f"{row['points']:+.2f} ({row['points_low']:+.2f} to {row['points_high']:+.2f})"
        sure = row["points_low"] > 0 or row["points_high"] < 0
        lines.append(
            f"| {row['group']} | {_label(row)} | {_percent(row['test_accuracy'])} % | "
            f"{f'**{points}**' if sure else points} | {_percent(row['val_accuracy'])} % | {_time(row)} |"
        )
    degrees = summary["seed_degrees_of_freedom"]
    noise = (
        f", and another seed (standard deviation {summary['seed_deviation']:.2f} points, {degrees} degrees of freedom)"
        if several
        else ""
    )
    alone = "" if several else " Every variant has one seed: what another one would change is not in it."
    chance = round((1 - summary["confidence"]) * len(summary["changes"]), 1)
    lines += [
        "",
        f"The interval covers other test pictures (paired){noise}.{alone} Bold: it excludes 0; of "
        f"{len(summary['changes'])} changes that do nothing, about {chance:g} would be bold by chance, several at once "
        f"or none, because all have the same base.{f' Base: {_time(base)} of training.' if _time(base) else ''}",
    ]
    if summary["missing"]:
        lines += ["", f"Not there: {', '.join(summary['missing'])}."]
    trained = summary["trained_on"][-1] if summary["trained_on"] else {}
    versions = [f"{name} {version}" for name, version in summary["packages"].items()]
    lines += [
        "",
        f"Commit {summary['commit'][:12]}; {summary['machine']['cpu']}, {summary['machine']['cores']} cores, "
        f"threads of an experiment: {trained.get('threads', 'unknown')}; Python {summary['machine']['python']}, "
        f"{', '.join(versions)}.",
    ]
    return "\n".join(lines) + "\n"


def _label(row: Mapping[str, Any]) -> str:
    return row["name"].replace("-", " ")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _time(row: Mapping[str, Any]) -> str:
    return "" if row["train_seconds"] is None else f"{row['train_seconds']:.0f} s"


@plots._styled
def figure(summary: Mapping[str, Any]) -> "Figure":
    """A bar for the difference that each change makes, in groups, with its interval.

    Args:
        summary: as `summarise` returns it, with one change or more.
    """
    rows, base = summary["changes"], summary["base"]
    groups = list(dict.fromkeys(row["group"] for row in rows))
    drawn = plots._figure(height=1.3 + 0.24 * len(rows) + 0.36 * len(groups))
    axes = drawn.subplots()
    places, place = [], 0.0
    for group in groups:
        place += 0.5
        axes.text(0, place, f" {group} ", transform=axes.get_yaxis_transform(), ha="right", va="center", weight="bold")
        colour = COLOURS[groups.index(group) % len(COLOURS)]
        for row in (row for row in rows if row["group"] == group):
            place += 1
            places.append(place)
            ends = [[row["points"] - row["points_low"]], [row["points_high"] - row["points"]]]
            sure = row["points_low"] > 0 or row["points_high"] < 0
            axes.barh(place, row["points"], height=0.72, color=colour, alpha=1 if sure else 0.4)
            axes.errorbar(row["points"], place, xerr=ends, color="black", linewidth=1, capsize=2.5)
        place += 1
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(places, [plots._short(_label(row), 32) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(place - 0.2, -0.2)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(lambda points, _: f"{points:+g}" if points else "0")
    axes.set_xlabel(
        f"difference in test accuracy, percentage points, with {100 * summary['confidence']:g} % interval; "
        "pale: it includes 0"
    )
    params = summary["params"]
    axes.set_title(
        f"What each change does to {_percent(base['test_accuracy'])} % test accuracy\n"
        f"{params['model']['name']}, {100 * params['preprocess']['train_fraction']:g} % of {summary['data']}, "
        f"{params['train']['epochs']} epochs"
    )
    return drawn


def _tracked(experiments: Sequence[runs.Experiment]) -> tuple[tracking.Store | None, list[Any], dict[str, float]]:
    """MLflow's store, the runs of the experiments, made where one is missing, and the seconds of their trainings.

    Nothing of all that where MLflow does not answer.
    """
    try:
        with runs.answered():
            store = tracking.Store()
            for experiment in runs.untracked(store):
                if experiment in experiments:
                    runs.track_experiment(store, experiment)
            found = {}
            for name, baseline, commit in experiments:
                lock = tracking.lock_digest(git(root(), "show", f"{commit}:dvc.lock"))
                found[name] = store.runs(experiment=name, commit=baseline, lock_digest=lock)[0]
            watched = {name: runs.epoch_seconds(store, run.info.run_id) for name, run in found.items()}
            seconds = {name: runs.training_seconds(each) for name, each in watched.items() if each}
            return store, list(found.values()), seconds
    except CCTError as error:
        tracking.say(LATER.format(error))
        return None, [], {}


def _parent(store: tracking.Store, whole: Plan, summary: Mapping[str, Any], children: Sequence[Any]) -> None:
    """Make the ablation one run of MLflow's, found again by its tag, and its experiments' runs the children."""
    try:
        with runs.answered():
            found = store.runs(ablation=whole.name)
            tags = {"mlflow.runName": whole.name, "cct.ablation": whole.name, "cct.commit": summary["commit"]}
            run_id = (found[0] if found else store.client.create_run(store.experiment, tags=tags)).info.run_id
            for run in children:
                if run.data.tags.get("mlflow.parentRunId") != run_id:
                    store.client.set_tag(run.info.run_id, "mlflow.parentRunId", run_id)
            values = {"base/test_accuracy": summary["base"]["test_accuracy"], "changes": len(summary["changes"])}
            values |= {f"points/{row['name']}": row["points"] for row in summary["changes"]}
            store.finals(run_id, values, tracking.now())
            for suffix in ("json", "md", "png"):
                store.artifact(run_id, FOLDER / f"{whole.title}.{suffix}")
            store.client.set_terminated(run_id, status="FINISHED")
    except CCTError as error:
        tracking.say(LATER.format(error))
