"""Fetch the files that `data.source` describes into `data/raw`. A folder or file of yours stays where it is."""

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cct import params
from cct.data.download import fetch_source
from cct.data.sources import LocalSource, open_source
from cct.files import make_empty_folder
from cct.paths import PARAMS, RAW

if TYPE_CHECKING:
    from cct.tracking.base import Tracker

log = logging.getLogger(__name__)
IN_PLACE = "data.source is no descriptor: preprocess reads the data where they are.\n"


def main(tracker: "Tracker") -> None:
    path = Path(params.load(PARAMS, "data").source)
    source = open_source(path)
    cached = {} if isinstance(source, LocalSource) else fetch_source(source, base=path.parent)
    make_empty_folder(RAW)  # DVC keeps persistent outputs, so another source's file may be there
    for role, file in cached.items():
        shutil.copyfile(file, RAW / source.files[role].file)
    if not cached:
        log.info("%s is on this machine, so nothing is fetched", path)
        (RAW / "README.txt").write_text(IN_PLACE, encoding="utf-8")
