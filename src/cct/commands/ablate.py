"""Change one ingredient of the recipe at a time, run the experiments through DVC's queue, and show each effect."""

import argparse
from pathlib import Path

from cct.commands.arguments import add_set_param, file_path, whole_number
from cct.repository import require_experiments_kept


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_set_param(parser)
    parser.add_argument("--only", metavar="CHANGE", nargs="+", default=[], help="run the base and these, by name")
    parser.add_argument(
        "--seeds", metavar="SEED", nargs="+", type=int, default=[], help="of each change (default: the file's)"
    )
    parser.add_argument("--jobs", type=whole_number(1000), default=2, help="experiments at a time (default: 2)")
    parser.add_argument("--file", type=file_path, default=Path("benchmarks/ablation.yaml"), help="default: %(default)s")


def main(arguments: argparse.Namespace) -> int:
    from cct.experiments.ablation.run import run_ablation

    require_experiments_kept()
    complete = run_ablation(
        arguments.file,
        settings=arguments.set_param,
        seeds=arguments.seeds,
        only=arguments.only,
        jobs=arguments.jobs,
    )
    return int(not complete)
