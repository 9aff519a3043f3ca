"""Bring runs that DVC holds into MLflow: the work tree, experiments or a commit. No run becomes a duplicate."""

import argparse
import difflib
import functools
import logging
from collections.abc import Callable

from cct.entry import raise_if_interrupted
from cct.errors import CCTError

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--exp", metavar="NAME", help="one DVC experiment")
    which.add_argument("--all", action="store_true", help="all experiments, and the work tree")
    which.add_argument("--rev", metavar="REV", help="a commit, branch or tag that has a dvc.lock")


def main(arguments: argparse.Namespace) -> int:
    from cct.dvc import list_experiments
    from cct.tracking.store import Store, explained_errors
    from cct.tracking.sync import track_experiment, track_revision, track_work_tree

    with explained_errors():
        store = Store()
    found = list_experiments()
    wanted = [e for e in found if arguments.all or e.name == arguments.exp]
    if arguments.exp is not None and not wanted:
        near = difflib.get_close_matches(arguments.exp, [e.name for e in found], n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(e.name for e in found) or 'none'}"
        raise CCTError(f"no experiment {arguments.exp!r}; {hint}")
    jobs = [functools.partial(track_experiment, store, experiment) for experiment in wanted]
    if arguments.rev is not None:
        jobs.append(functools.partial(track_revision, store, arguments.rev))
    elif arguments.exp is None and not arguments.all:
        jobs.append(functools.partial(track_work_tree, store))
    failed = [job for job in jobs if not _done(job, log.error, "%s")]
    if arguments.all:
        _done(functools.partial(track_work_tree, store), log.warning, "the work tree is left out: %s")
    return int(bool(failed))


def _done(job: Callable[[], str], complain: Callable[..., None], message: str) -> bool:
    """Do a job and print what it did. If it fails, log why, and continue."""
    from cct.tracking.store import explained_errors

    raise_if_interrupted()
    try:
        with explained_errors():
            print(job())
    except CCTError as error:
        complain(message, error)
        return False
    return True
