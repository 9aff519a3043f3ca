"""Runs an ablation through DVC's queue."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cct.errors import CCTError
from cct.experiments.ablation.mlflow import log_parent, tracked_runs
from cct.experiments.ablation.plan import Plan, code_files, make_plan, workload
from cct.experiments.ablation.reports import FOLDER, write_reports
from cct.experiments.ablation.results import Result, finished_experiments, read_result, summarize
from cct.experiments.ablation.table import ablation_table
from cct.params import arguments, flatten, read_yaml
from cct.repository import CODE_PATHSPEC, git, repository_root


def run_ablation(file: Path, *, settings: Sequence[str], seeds: Sequence[int], only: Sequence[str], jobs: int) -> bool:
    """Run what is missing of an ablation, and draw table and figure of all that is there; whether nothing failed.

    Raises:
        CCTError: the ablation or the work tree is not fit, DVC's queue has other tasks, or the base has no result.
    """
    whole = make_plan(file, settings, seeds)
    wanted, found = whole.experiments(only), finished_experiments(whole)
    missing = {name: wanted[name] for name in wanted if name not in found}
    print(f"{whole.name}: {len(wanted)} experiments, {len(wanted) - len(missing)} of them are there")
    if whole.idle:
        print(f"left out, because the base is so already: {', '.join(whole.idle)}")
    results: dict[str, Result] = {}
    failed = []
    if missing:
        failed = _run_missing(whole, missing, jobs=jobs, done=len(wanted) - len(missing), results=results)
    for name, experiment in finished_experiments(whole).items():
        if name not in results:
            results[name] = read_result(experiment)
    if not any(name in results for name in whole.base.experiments):
        raise CCTError("the base has no result, so there is nothing to compare with")
    store, children, seconds = tracked_runs([result.experiment for result in results.values()])
    summary = summarize(whole, results, seconds=seconds)
    write_reports(summary, whole.title)
    if store:
        log_parent(store, whole, summary, children)
    print(f"\n{ablation_table(summary)}\n{FOLDER}/{whole.title}.md, .png and .json")
    return not failed


def _run_missing(
    whole: Plan, missing: dict[str, dict], *, jobs: int, done: int, results: dict[str, Result]
) -> list[str]:
    """Run experiments through DVC's queue, the base first, then the longest; the names of those that failed."""
    from cct.experiments.dvc_queue import Queue

    require_fit(missing.values())
    work = {name: workload(content) for name, content in missing.items()}
    failed, total, start = [], done + len(missing), time.monotonic()

    def ended(name: str) -> None:
        finished = finished_experiments(whole).get(name)
        ready = total - len(left) + 1
        if finished:
            results[name] = read_result(finished)
            text = f"{100 * results[name].test['accuracy']:.2f} % of the test images"
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


def require_fit(contents: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a work tree that experiments in folders of their own would not see as it is, or that has no name."""
    top = repository_root()
    if not git(top, "rev-parse", "HEAD"):
        raise CCTError(f"{top} has no commit of git's, and an experiment of DVC's needs one")
    changed = git(top, "diff", "--name-only", "HEAD", *CODE_PATHSPEC).splitlines()
    if changed:
        raise CCTError(
            f"the work tree has changes that are not committed ({', '.join(changed)}): commit or stash them first, so "
            "that one commit says what was compared"
        )
    sources = {content["data"]["source"] for content in contents}
    models = {content["train"]["init_from"] for content in contents} - {None}
    named = [*code_files(), *sorted(name for name in sources | models if not Path(name).is_absolute())]
    unknown = [name for name in named if not git(top, "ls-files", name)]
    if unknown:
        raise CCTError(
            f"not in git, so not in the folders that experiments run in: {', '.join(unknown)}: git add and commit first"
        )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    folder = repository_root() / ".cct"
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / "ablation.lock").acquire(timeout=0):
            yield
    except Timeout:
        raise CCTError("another cct ablate is at work in this repository: wait for its end") from None
