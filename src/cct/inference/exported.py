"""The facts in an exported file about its model. Reading them needs neither Keras nor the format's own library."""

import json
from pathlib import Path
from typing import Any

from pydantic import Field

from cct.errors import CCTError, one_line
from cct.models.metadata import ModelMetadata
from cct.params import ParamsError, Section, parse

KEY = "cct"  # the name of the facts in a file's metadata
FACTS, LABELS = "cct.json", "labels.txt"  # files inside an export that holds files
MAX_FACTS = 1 << 24  # bytes; a hundred thousand class names take a tenth


class ExportFacts(Section):
    """The facts in an exported file."""

    model: ModelMetadata = Field(description="the metadata of the .keras file")
    model_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="sha256 of the .keras file that it was made of")
    precision: str = Field(description="of its weights: float32, float16 or int8")
    version: str = Field(description="version of this project")
    content_sha256: str | None = Field(None, description="LiteRT: sha256 of the file without its appended archive")


def read_facts(text: str | bytes | None, path: Path) -> ExportFacts:
    """The facts of an exported file.

    Args:
        text: JSON, as `cct export` writes it; None if the file has none.
        path: the file; messages name it.

    Raises:
        CCTError: they are missing, or not those of `cct export`.
    """
    if text is None:
        raise CCTError(
            f"{path} was not made by cct export, so nothing says what its outputs mean: export a .keras file of this "
            "project"
        )
    try:
        content: Any = json.loads(text)
        return parse(ExportFacts, content, where=path)
    except (ValueError, RecursionError, ParamsError) as error:
        raise CCTError(
            f"{path} was made by another version of this project, so export it again: {one_line(error)}"
        ) from error
