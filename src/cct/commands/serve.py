"""Serve a trained model over HTTP, with a page to try it in a browser."""

import argparse

from cct.commands.arguments import add_model, model_name, non_empty, probability, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Routes: / is a page, /predict takes images or texts, /docs describes all. Ctrl-C or SIGTERM ends it, after "
        "the requests in flight are answered."
    )
    add_model(parser)
    parser.add_argument(
        "--host", type=non_empty, default="127.0.0.1", help="default: 127.0.0.1, which only this machine can reach"
    )
    parser.add_argument("--port", type=whole_number(65535), default=8000, help="default: 8000")
    parser.add_argument(
        "--unsure", type=probability, default=0.5, metavar="P",
        help="mark predictions below this probability (default: 0.5)",
    )  # fmt: skip
    parser.add_argument(
        "--limit", metavar="NAME=N", action="append", default=[], help="such as body_seconds=5; docs/serve.md lists all"
    )


def main(arguments: argparse.Namespace) -> int:
    from cct.serving.limits import parse_limits

    limits = parse_limits(arguments.limit)
    from cct.serving.server import serve

    return serve(
        model_name(arguments), host=arguments.host, port=arguments.port, limits=limits, unsure=arguments.unsure
    )
