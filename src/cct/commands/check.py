"""Check a parameter file and its data source, without running anything."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cct import params
from cct.commands.arguments import add_set_param, file_path
from cct.data.sources import open_source
from cct.dvc import require_plain_files
from cct.errors import CCTError
from cct.experiments.settings import read_with_settings
from cct.models.starting import FOLDER, require_starting_file
from cct.paths import PARAMS
from cct.runtime.available import without_driver
from cct.tasks.checks import misfits

VECTORS = Path("data/vectors")  # the only folder of `preprocess.embeddings`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=file_path, nargs="?", default=PARAMS, help="default: params.yaml")
    add_set_param(parser)


def main(arguments: argparse.Namespace) -> None:
    content, where = read_with_settings(arguments.file, arguments.set_param)
    mistakes, sections = [], {}
    try:
        sections = params.check(content, where=where, besides=_absent(content))
        mistakes += map(str, [*misfits(sections), *without_driver(sections["runtime"])])
    except params.ParamsError as error:
        mistakes.append(str(error))
    try:
        require_plain_files(Path())
    except CCTError as error:
        mistakes.append(str(error))
    if mistakes:
        raise params.ParamsError("\n".join(mistakes))
    print(f"{where}: {sum(len(s.model_fields_set) for s in sections.values())} parameters, no mistake")


def _absent(content: dict[str, Any]) -> Iterator[str]:
    """The files that parameters name and that are not there. The schema says of others that their place is wrong."""
    source, init_from, embeddings = (
        _text(content, *name) for name in (("data", "source"), ("train", "init_from"), ("preprocess", "embeddings"))
    )
    for value, folder, require in ((source, None, open_source), (init_from, FOLDER, require_starting_file)):
        try:
            if value and folder in (None, Path(value).parent):
                require(Path(value))
        except CCTError as error:
            yield str(error).replace("\n", "\n  ")
    if embeddings and Path(embeddings).parent == VECTORS and not Path(embeddings).is_file():
        yield f"preprocess.embeddings = {embeddings!r}: there is no such file"


def _text(content: dict[str, Any], section: str, field: str) -> str | None:
    values = content.get(section)
    value = values.get(field) if isinstance(values, dict) else None
    return value if isinstance(value, str) and value.isprintable() else None
