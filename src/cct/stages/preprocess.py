"""Turn the files of the data source into arrays in `data/processed`."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from cct import params
from cct.data.kinds import source_task
from cct.data.prepare import write_processed
from cct.data.sources import open_source
from cct.data.store import read_split
from cct.files import make_empty_folder
from cct.paths import PARAMS, PROCESSED, RAW
from cct.tasks.preparation import PREPARATION_TASKS

if TYPE_CHECKING:
    from cct.tracking.base import Tracker

log = logging.getLogger(__name__)


def main(tracker: "Tracker") -> None:
    data, preprocess = params.load(PARAMS, "data", "preprocess")
    source = open_source(Path(data.source))
    task = PREPARATION_TASKS[name := source_task(source, preprocess)]
    with task.prepare(source, preprocess, RAW) as prepared:
        make_empty_folder(PROCESSED)  # DVC keeps persistent outputs, so a killed run's files may be there
        convert = task.converter(prepared.splits["train"].inputs.shape[1:], preprocess)
        options = {} if convert is None else {"convert": convert}
        meta = write_processed(PROCESSED, prepared, task=name, describe=task.describe, **options)
    counts = ", ".join(f"{count:,} {split}" for split, count in meta["examples"].items())
    inputs, _ = read_split(PROCESSED, "train")
    shape = "x".join(map(str, inputs.shape[1:]))
    log.info("%s: %s; %s, %d classes", meta["name"], counts, shape, len(meta["classes"]))
