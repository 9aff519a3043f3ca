"""Serve the MLflow UI on this machine only. The default store gets every experiment of DVC first."""

import argparse

from cct.commands.arguments import whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=whole_number(65535), default=5000, help="default: 5000")


def main(arguments: argparse.Namespace) -> int:
    from cct.tracking.ui import serve_ui

    return serve_ui(arguments.port)
