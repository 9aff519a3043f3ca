"""Turn the files of the data source into arrays in `data/processed`."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cct import params
from cct.data.formats.registry import FORMATS
from cct.data.images.decoded import FOLDER
from cct.data.images.source import list_images, prepare_images
from cct.data.params import PreprocessParams
from cct.data.prepare import Prepared, prepare_arrays, write_processed
from cct.data.sources import LocalImages, Source, open_source, read_arrays, source_files, task_of_source
from cct.files import make_empty_folder, sha256_of_file
from cct.paths import PARAMS, PROCESSED, RAW
from cct.pipeline import stage_code_files
from cct.repository import repository_root
from cct.tasks.preparation import PREPARATION_TASKS

if TYPE_CHECKING:
    from cct.tracking.base import Tracker

log = logging.getLogger(__name__)


def main(tracker: "Tracker") -> None:
    data, preprocess = params.load(PARAMS, "data", "preprocess")
    source = open_source(Path(data.source))
    task = PREPARATION_TASKS[name := task_of_source(source)]
    with _prepared(source, preprocess) as prepared:
        make_empty_folder(PROCESSED)  # DVC keeps persistent outputs, so a killed run's files may be there
        convert = task.converter(prepared.splits["train"].inputs.shape[1:], preprocess)
        options = {} if convert is None else {"convert": convert}
        meta = write_processed(PROCESSED, prepared, task=name, describe=task.describe, **options)
    counts = ", ".join(f"{count:,} {split}" for split, count in meta["examples"].items())
    shape = "x".join(map(str, meta["image_shape"]))
    log.info("%s: %s; %s, %d classes", meta["name"], counts, shape, len(meta["classes"]))


@contextlib.contextmanager
def _prepared(source: Source | LocalImages, preprocess: PreprocessParams) -> Iterator[Prepared]:
    """The data set of a source. Decoded images are on disk while it is used, and after an interruption."""
    local = isinstance(source, LocalImages)
    if not local and FORMATS[source.format].read:
        yield prepare_arrays(source, read_arrays(source, RAW), preprocess)
        return
    path = source.path if local else source_files(source, RAW)["archive"]
    with prepare_images(
        list_images(path, preprocess.class_folder),
        preprocess,
        name=source.name,
        classes=None if local else source.classes,
        folder=repository_root() / FOLDER,
        made_by=[sha256_of_file(file) for file in stage_code_files("preprocess")],
    ) as prepared:
        yield prepared
