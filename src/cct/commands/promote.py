"""Register a run's model, and make it the champion if it beats the present champion by more than chance."""

import argparse

from cct.commands.arguments import add_run_id


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_id(parser)
    parser.add_argument("--metric", default="test/accuracy", help="the metric that decides (default: test/accuracy)")
    parser.add_argument("--force", action="store_true", help="even if it is no better")


def main(arguments: argparse.Namespace) -> None:
    from cct.tracking.promote import promote
    from cct.tracking.store import Store, explained_errors

    with explained_errors():
        print(promote(Store(), arguments.id, metric=arguments.metric, force=arguments.force))
