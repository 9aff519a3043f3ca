"""Print every named model: parameters, multiply-adds, tokens, and its published accuracy on CIFAR-10."""

import argparse

from cct.commands.arguments import add_size
from cct.models.cost import model_table

add_arguments = add_size


def main(arguments: argparse.Namespace) -> None:
    height, width, channels = arguments.image
    rows = model_table(height=height, width=width, channels=channels, classes=arguments.classes)
    print(f"{'name':15} {'parameters':>11} {'MACs':>9} {'tokens':>6}  published")
    for row in rows:
        published = f"{row.accuracy:.2f} % at {row.epochs} epochs" if row.accuracy else ""
        print(f"{row.name:15} {row.parameters:11,} {row.macs / 1e9:7.3f} G {row.tokens:6}  {published}".rstrip())
