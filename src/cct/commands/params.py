"""Explain parameters: their meaning, the allowed values and the value in params.yaml."""

import argparse
import difflib
import textwrap

from cct.errors import CCTError
from cct.param_docs import parameters, section_docs
from cct.params import flatten, in_yaml, read_yaml
from cct.paths import PARAMS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="*", help="a section or a parameter, such as train or train.schedule; default: all"
    )


def main(arguments: argparse.Namespace) -> None:
    values, groups, docs = flatten(read_yaml(PARAMS)), parameters(), section_docs()
    known = {parameter.name: parameter for group in groups.values() for parameter in group}
    by_field = {name.partition(".")[2]: name for name in reversed(known)}
    for name in arguments.name or groups:
        if name in groups:
            print(f"{name}: {docs[name]}")
        shown = groups.get(name) or [known.get(name) or known.get(by_field.get(name, ""))]
        for parameter in shown:
            if parameter is None:
                near = difflib.get_close_matches(name, [*known, *by_field, *groups], n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else "cct params lists all"
                raise CCTError(f"no parameter {name!r}; {hint}")
            print(f"{parameter.name} = {in_yaml(values[parameter.name]) if parameter.name in values else 'missing'}")
            print(textwrap.fill(parameter.sentence, 100, initial_indent="    ", subsequent_indent="    "))
