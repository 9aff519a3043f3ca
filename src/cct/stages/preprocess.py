"""Turn the file in `data/raw` into arrays in `data/processed`."""

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cct import params
from cct.data.formats.registry import read_arrays
from cct.data.sources import read_source
from cct.data.store import write_processed
from cct.paths import PARAMS, PROCESSED, RAW

if TYPE_CHECKING:
    from cct.tracking.base import Tracker

log = logging.getLogger(__name__)


def main(tracker: "Tracker") -> None:
    data, preprocess = params.load(PARAMS, "data", "preprocess")
    source = read_source(Path(data.source))
    arrays = read_arrays(source, RAW / source.file)
    shutil.rmtree(PROCESSED, ignore_errors=True)  # DVC keeps persistent outputs, so a killed run's files may be there
    meta = write_processed(PROCESSED, source, arrays, preprocess)
    counts = ", ".join(f"{count:,} {split}" for split, count in meta["images"].items())
    shape = "x".join(map(str, meta["image_shape"]))
    log.info("%s: %s; %s, %d classes", source.name, counts, shape, len(source.classes))
