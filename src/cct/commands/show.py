"""Show where an MLflow run came from and how to repeat it."""

import argparse

from cct.commands.arguments import add_run_id


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_id(parser)
    parser.add_argument("--apply", action="store_true", help="bring it into the work tree, too")


def main(arguments: argparse.Namespace) -> None:
    from cct.tracking.show import apply_run, describe_run
    from cct.tracking.store import Store, explained_errors

    with explained_errors():
        store = Store()
        described = describe_run(store, arguments.id)
        width = max(map(len, described)) + 2
        for name, value in described.items():
            print(f"{name.replace('_', ' '):{width}}{value}")
        if arguments.apply:
            print(apply_run(store, arguments.id))
