"""Turn the file in `data/raw` into arrays in `data/processed`."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from cct import params
from cct.data.formats.registry import FORMATS
from cct.data.prepare import write_processed
from cct.data.sources import read_arrays, read_source
from cct.files import make_empty_folder
from cct.paths import PARAMS, PROCESSED, RAW
from cct.tasks.preparation import PREPARATION_TASKS

if TYPE_CHECKING:
    from cct.tracking.base import Tracker

log = logging.getLogger(__name__)


def main(tracker: "Tracker") -> None:
    data, preprocess = params.load(PARAMS, "data", "preprocess")
    source = read_source(Path(data.source))
    arrays = read_arrays(source, RAW)
    make_empty_folder(PROCESSED)  # DVC keeps persistent outputs, so a killed run's files may be there
    task = FORMATS[source.format].task
    meta = write_processed(PROCESSED, source, arrays, preprocess, task=task, describe=PREPARATION_TASKS[task])
    counts = ", ".join(f"{count:,} {split}" for split, count in meta["examples"].items())
    shape = "x".join(map(str, arrays.train_inputs.shape[1:]))
    log.info("%s: %s; %s, %d classes", source.name, counts, shape, len(source.classes))
