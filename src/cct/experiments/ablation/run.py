"""Runs an ablation through DVC's queue."""

import contextlib
import functools
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cct.errors import CCTError
from cct.experiments.ablation.mlflow import log_parent, tracked_runs
from cct.experiments.ablation.plan import Plan, code_files, make_plan, training_work
from cct.experiments.ablation.reports import write_reports
from cct.experiments.ablation.results import finished_experiments, read_result, summarize
from cct.experiments.ablation.table import ablation_table
from cct.experiments.workspace import named_files, places_in_dvc
from cct.files import locked_if_free
from cct.overrides import arguments
from cct.params import flatten, read_yaml
from cct.paths import PARAMS
from cct.repository import CODE_PATHSPEC, git, repository_root

log = logging.getLogger(__name__)


def run_ablation(file: Path, *, settings: Sequence[str], seeds: Sequence[int], only: Sequence[str], jobs: int) -> bool:
    """Run the missing experiments of an ablation, and write table and figure of all finished ones.

    Returns:
        Whether no experiment failed.

    Raises:
        CCTError: the ablation has mistakes, `require_fit` refuses the work tree, DVC's queue has other tasks, or the
            base has no result.
    """
    plan = make_plan(file, settings, seeds)
    wanted, found = plan.experiments(only), finished_experiments(plan)
    missing = {name: wanted[name] for name in wanted if name not in found}
    log.info("%s: %d experiments, %d of them are finished", plan.name, len(wanted), len(wanted) - len(missing))
    if plan.idle:
        log.info("left out, because the base has them already: %s", ", ".join(plan.idle))
    failed = []
    if missing:
        replan = functools.partial(make_plan, file, settings, seeds)
        failed = _run_missing(plan, missing, jobs=jobs, done=len(wanted) - len(missing), replan=replan)
    results = {name: read_result(experiment) for name, experiment in finished_experiments(plan).items()}
    if not any(name in results for name in plan.base.experiments):
        raise CCTError("the base has no result, so there is nothing to compare with: read the logs named above")
    store, children, seconds = tracked_runs([result.experiment for result in results.values()])
    summary = summarize(plan, results, seconds=seconds)
    files = write_reports(summary, plan.title)
    print(f"\n{ablation_table(summary)}\n{', '.join(map(str, files))}")
    if store:
        log_parent(store, plan, summary, children, files)
    return not failed


class _Progress:
    """Logs each experiment when it ends, with the remaining time.

    Attributes:
        failed: names of experiments without a result.
    """

    def __init__(self, plan: Plan, work: Mapping[str, float], *, done: int, log_of: Callable[[str], Path | None]):
        self.plan, self.left, self.log_of, self.failed = plan, dict(work), log_of, []
        self.work, self.total, self.start = sum(work.values()), done + len(work), time.monotonic()

    def ended(self, name: str) -> None:
        """Log that an experiment has ended, with or without a result."""
        del self.left[name]
        finished = finished_experiments(self.plan).get(name)
        if finished:
            text = f"{100 * read_result(finished).test['accuracy']:.2f} % of the test examples"
        else:
            self.failed.append(name)
            path = self.log_of(name)
            text = f"failed: dvc queue logs {name} ({path})" if path else "lost with its worker; run the command again"
        rest = sum(self.left.values())
        seconds = rest / max(self.work - rest, 1e-9) * (time.monotonic() - self.start)
        remaining = f"; about {math.ceil(seconds / 60)} min left" if self.left else ""
        level = logging.INFO if finished else logging.ERROR
        log.log(level, "[%d/%d] %s: %s%s", self.total - len(self.left), self.total, name, text, remaining)


def _run_missing(
    plan: Plan, missing: dict[str, dict[str, Any]], *, jobs: int, done: int, replan: Callable[[], Plan]
) -> list[str]:
    """Run experiments through DVC's queue, the base first, then the longest. Returns the names of failed ones.

    Args:
        plan: the ablation.
        missing: the experiments to run: parameters by name.
        jobs: the number of experiments at a time.
        done: the number of finished experiments.
        replan: makes the plan again, from the files as they are then.
    """
    from cct.experiments.dvc_queue import Queue

    require_fit(missing.values())
    work = {name: training_work(content) for name, content in missing.items()}
    order = sorted(missing, key=lambda name: (name not in plan.base.experiments, -work[name]))
    here = flatten(read_yaml(PARAMS))
    settings = {
        name: arguments({k: v for k, v in flatten(missing[name]).items() if here.get(k, ...) != v})[1::2]
        for name in order
    }
    with _alone(), Queue() as queue:
        others = (queue.waiting() | queue.running()).keys() - plan.experiments().keys()
        if others:
            raise CCTError(
                f"DVC's queue has tasks that are not of this ablation ({', '.join(sorted(others))}): have them run "
                "first (dvc queue start, dvc queue status), or take them out (dvc queue remove, dvc queue kill)"
            )
        progress = _Progress(plan, work, done=done, log_of=queue.log)

        def queued() -> None:
            if replan().experiments() != plan.experiments():  # DVC copies the work tree anew for each task
                raise CCTError(
                    "params.yaml, the code or the data changed while the experiments were put into the queue, so they "
                    "would differ in more than their parameters: run the command again, and wait for 'to run' before "
                    "you edit"
                )
            log.info("%d to run, %d at a time; Ctrl-C stops, and the same command resumes", len(missing), jobs)

        queue.work(settings, jobs=jobs, queued=queued, ended=progress.ended)
    return progress.failed


def require_fit(contents: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a work tree that DVC would not copy completely into the temporary folders of experiments.

    Raises:
        CCTError: it has no commit, uncommitted changes, or files that are not in git.
    """
    top = repository_root()
    if not git(top, "rev-parse", "HEAD"):
        raise CCTError(f"git finds no commit in {top}: commit the files first, or see git status")
    changed = git(top, "diff", "--name-only", "HEAD", *CODE_PATHSPEC).splitlines()
    if changed:
        raise CCTError(
            f"the work tree has changes that are not committed ({', '.join(changed)}): commit or stash them first, so "
            "that one commit names all that was compared"
        )
    wanted = {path for content in contents for path in named_files(content) if not path.is_absolute()}

    def known(path: Path) -> str:
        return git(top, "ls-files", str(path), *(f"{place}.dvc" for place in places_in_dvc(path)))

    unknown = [str(path) for path in (*code_files(), *sorted(wanted)) if not known(path)]
    if unknown:
        raise CCTError(
            f"not in git, so experiments would not have them: {', '.join(unknown)}: git add and commit them first, "
            "or of data the .dvc file that dvc add makes"
        )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    folder = repository_root() / ".cct"
    folder.mkdir(exist_ok=True)
    with locked_if_free(folder / "ablation.lock") as held:
        if not held:
            raise CCTError("another cct ablate runs in this repository: wait for its end")
        yield
