"""Check a parameter file and its data source, without running anything."""

import argparse
from pathlib import Path

from cct import params
from cct.commands.arguments import file_path
from cct.data.sources import read_source
from cct.paths import PARAMS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=file_path, nargs="?", default=PARAMS, help="default: params.yaml")


def main(arguments: argparse.Namespace) -> None:
    sections = params.load(arguments.file)
    read_source(Path(sections["data"].source))
    print(f"{arguments.file}: {sum(len(s.model_fields_set) for s in sections.values())} parameters, no mistake")
