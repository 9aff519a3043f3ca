"""Check a parameter file and its data source, without running anything."""

import argparse
from pathlib import Path
from typing import Any

from cct import params
from cct.commands.arguments import file_path
from cct.data.kinds import source_task
from cct.data.sources import open_source
from cct.dvc import require_plain_files
from cct.errors import CCTError
from cct.models.architectures import require_model_of
from cct.models.starting import require_starting_file, require_starting_model
from cct.paths import PARAMS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=file_path, nargs="?", default=PARAMS, help="default: params.yaml")


def main(arguments: argparse.Namespace) -> None:
    content = params.read_yaml(arguments.file)
    mistakes, sections = [], {}
    try:
        sections = params.check(content, where=arguments.file)
    except params.ParamsError as error:
        mistakes.append(str(error))
    # These two are checked even if there are mistakes elsewhere.
    source, init_from, embeddings = (
        _text(content, *name) for name in (("data", "source"), ("train", "init_from"), ("preprocess", "embeddings"))
    )
    task = None
    if source:
        try:
            opened = open_source(Path(source))
            if sections:
                task = source_task(opened, sections["preprocess"])
                require_model_of(task, sections["model"].name)
        except CCTError as error:
            mistakes.append(str(error))
    if init_from:
        try:
            if sections and task:
                require_starting_model(Path(init_from), sections["model"], task)
            else:
                require_starting_file(Path(init_from))
        except CCTError as error:
            mistakes.append(str(error))
    if embeddings and not Path(embeddings).is_file():
        mistakes.append(f"{arguments.file}: preprocess.embeddings = {embeddings!r}: there is no such file")
    try:
        require_plain_files(Path())
    except CCTError as error:
        mistakes.append(str(error))
    if mistakes:
        raise params.ParamsError("\n".join(mistakes))
    print(f"{arguments.file}: {sum(len(s.model_fields_set) for s in sections.values())} parameters, no mistake")


def _text(content: dict[str, Any], section: str, field: str) -> str | None:
    values = content.get(section)
    value = values.get(field) if isinstance(values, dict) else None
    return value if isinstance(value, str) and value.isprintable() else None
