"""The task of a data source: what its examples are."""

from cct.data.formats.registry import FORMATS
from cct.data.params import PreprocessParams
from cct.data.sources import LocalSource, Source
from cct.data.texts.source import holds_texts

IMAGES, TEXTS = "image_classification", "text_classification"


def source_task(source: Source | LocalSource, preprocess: PreprocessParams) -> str:
    """The name of the task, as in the tables of `cct.tasks`.

    Raises:
        DataError: a folder or file cannot be read.
    """
    if isinstance(source, Source):
        return FORMATS[source.format].task
    return TEXTS if holds_texts(source.path, preprocess) else IMAGES
