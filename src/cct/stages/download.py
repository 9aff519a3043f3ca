"""Fetch the file that `data.source` describes into `data/raw`."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cct import params
from cct.data.download import fetch_source
from cct.data.sources import read_source
from cct.files import make_empty_folder
from cct.paths import PARAMS, RAW

if TYPE_CHECKING:
    from cct.tracking.base import Tracker


def main(tracker: "Tracker") -> None:
    descriptor = Path(params.load(PARAMS, "data").source)
    source = read_source(descriptor)
    cached = fetch_source(source, base=descriptor.parent)
    make_empty_folder(RAW)  # DVC keeps persistent outputs, so another source's file may be there
    for role, path in cached.items():
        shutil.copyfile(path, RAW / source.files[role].file)
