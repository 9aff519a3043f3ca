"""Print a preset as arguments of `dvc exp run`, or list the presets."""

import argparse

from cct.errors import CCTError
from cct.experiments.presets import preset_arguments, preset_names, preset_title


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("name", nargs="?", help="the preset's name; without one, all are listed")
    which.add_argument("--list", action="store_true", help="list all presets with their titles")


def main(arguments: argparse.Namespace) -> None:
    if arguments.name is None:
        for name in preset_names():
            print(f"{name:16}{preset_title(name)}")
        return
    try:
        print(" ".join(preset_arguments(arguments.name)))
    except CCTError:
        # In `dvc exp run $(cct preset NAME)` the shell ignores this failure, and DVC would run the defaults.
        print(f"--no-such-preset={arguments.name}")
        raise
