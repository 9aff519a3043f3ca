"""Runs a stage: `python -m cct.stages NAME`, as `dvc.yaml` does.

This module has the work around every stage. It checks the parameters before slow imports, and chooses the backend
before Keras is imported. It checks the stage's dependencies, and starts the tracker. None of this decides a result, so
no stage depends on this module.
"""

import argparse
import importlib
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cct import params
from cct.data.kinds import source_task
from cct.data.params import is_descriptor
from cct.data.sources import open_source
from cct.dvc import require_plain_files
from cct.entry import entry_point
from cct.errors import CCTError
from cct.log import log_to_file
from cct.models.starting import require_starting_model
from cct.paths import DVC_LOCK, PARAMS
from cct.repository import keep_out_of_git, repository_root, require_experiments_kept
from cct.runtime.backend import prepare_backend
from cct.stages.dependencies import Dependencies
from cct.tasks.checks import require_fitting
from cct.tracking.base import finishing
from cct.tracking.provenance import current_provenance, lock_digest
from cct.tracking.registry import make_tracker

log = logging.getLogger("cct.stages")  # __name__ is "__main__" here
EARLIEST = 315_532_800  # 1980, in seconds since 1970: zip files, and so model files, have no earlier dates


class Stage(NamedTuple):
    """The work around a stage."""

    imports_keras: bool = False
    logged: bool = False  # into .cct/logs
    first: bool = False
    prepares: bool = False  # it comes before the training
    trains: bool = False
    last: bool = False  # when it ends, dvc.lock has the entries of all other stages


STAGES = {
    "download": Stage(first=True, prepares=True),
    "preprocess": Stage(prepares=True),
    "train": Stage(imports_keras=True, logged=True, trains=True),
    "evaluate": Stage(imports_keras=True),
    "plot": Stage(last=True),
}


@entry_point
def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m cct.stages", description="Run a stage of the pipeline.")
    parser.add_argument("stage", choices=list(STAGES))
    name = parser.parse_args(words).stage
    now = time.time()
    if now < EARLIEST:
        today = time.strftime("%Y-%m-%d", time.gmtime(now))
        raise CCTError(f"the clock of this machine says {today}: set it, or no model can be saved")
    if STAGES[name].first and not DVC_LOCK.is_file() and os.environ.get("DVC_EXP_NAME"):
        log.info("(DVC's warnings above, No file hash info found for ..., are harmless: no stage has run here yet)")
    if STAGES[name].first:
        source = params.load(PARAMS, "data").source
        if not is_descriptor(source) and keep_out_of_git(Path(source)):
            log.info("git does not track %s: .git/info/exclude now keeps it out of commits", source)
    if Path.cwd() != repository_root():  # DVC runs an experiment in a temporary folder
        require_experiments_kept()
    runtime = params.load(PARAMS, "runtime")
    require_plain_files(Path())
    if STAGES[name].prepares:
        require_fitting(params.load(PARAMS))
    if STAGES[name].trains:
        _require_starting_model()
    dependencies = Dependencies(name)
    dependencies.require_made_by_stages()
    if STAGES[name].imports_keras:
        prepare_backend(runtime)
    if STAGES[name].logged:
        log_to_file(repository_root() / ".cct/logs", current_provenance().name)
    tracker = make_tracker()
    with finishing(tracker):
        importlib.import_module(f"cct.stages.{name}").main(tracker)
        dependencies.require_unchanged()
        if STAGES[name].last and DVC_LOCK.is_file():
            tracker.log_artifact(DVC_LOCK)
            tracker.set_tags({"lock_digest": lock_digest(DVC_LOCK.read_text(encoding="utf-8"))})


def _require_starting_model() -> None:
    """Refuse a wrong `train.init_from` before Keras is imported. The data's own checks are those of `train`."""
    data, preprocess, model, train = params.load(PARAMS, "data", "preprocess", "model", "train")
    if train.init_from:
        require_starting_model(Path(train.init_from), model, source_task(open_source(Path(data.source)), preprocess))


if __name__ == "__main__":
    sys.exit(main())
