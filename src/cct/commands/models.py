"""Print every named model: parameters, multiply-adds, tokens, and its published accuracy on CIFAR-10."""

import argparse

from cct.commands.arguments import add_size, whole_number
from cct.models.cost import model_table
from cct.models.text_cost import text_model_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_size(parser)
    parser.add_argument("--texts", action="store_true", help="the models of texts, without the vectors of words")
    parser.add_argument("--length", type=whole_number(65_536), default=64, help="words of a text (default: 64)")
    parser.add_argument("--word-dim", type=whole_number(65_536), default=300, help="width of a word (default: 300)")


def main(arguments: argparse.Namespace) -> None:
    (_print_text_models if arguments.texts else _print_image_models)(arguments)


def _print_image_models(arguments: argparse.Namespace) -> None:
    height, width, channels = arguments.image
    rows = model_table(height=height, width=width, channels=channels, classes=arguments.classes)
    print(f"{'name':15} {'parameters':>11} {'MACs':>9} {'tokens':>6}  published")
    for row in rows:
        published = f"{row.accuracy:.2f} % at {row.epochs} epochs" if row.accuracy else ""
        print(f"{row.name:15} {row.parameters:11,} {row.macs / 1e9:7.3f} G {row.tokens:6}  {published}".rstrip())


def _print_text_models(arguments: argparse.Namespace) -> None:
    rows = text_model_table(length=arguments.length, classes=arguments.classes, word_dim=arguments.word_dim)
    print(f"{'name':19} {'parameters':>11} {'MACs':>9} {'tokens':>6}")
    for row in rows:
        print(f"{row.name:19} {row.parameters:11,} {row.macs / 1e6:7.1f} M {row.tokens:6}")
