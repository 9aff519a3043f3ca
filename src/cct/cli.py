"""The `cct` command has the functions that DVC and MLflow lack.

To add a command, write its module in `cct.commands` and an entry in `COMMANDS`.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from cct import __version__
from cct.commands.arguments import non_empty
from cct.entry import entry_point
from cct.log import DEBUG, VARIABLE, configure_logging
from cct.repository import require_repository

# Commands that also work outside a clone of the repository.
ANYWHERE = ("models", "import-checkpoint", "predict", "explain", "export", "serve")
# One line on each command. Its module has its arguments and its `--help` text. Only the chosen module is imported.
COMMANDS = {
    "check": "check a parameter file and its data source, without running anything",
    "inspect": "look at a data source before training: classes, sizes, problems, duplicates, and the command for it",
    "params": "explain parameters: their meaning, the allowed values and the value in params.yaml",
    "preset": "print a preset as arguments of dvc exp run, or list the presets",
    "predict": "say of which class images or texts are, with a trained model",
    "explain": "show what a trained model looked at, as heat maps over images or marks under words",
    "export": "write a trained model for ONNX Runtime, LiteRT or TensorFlow, and compare it with Keras",
    "serve": "serve a trained model over HTTP, with a page to try it in a browser",
    "models": "print every named model with its parameters, multiply-adds and published accuracy",
    "import-checkpoint": "turn an official PyTorch checkpoint into a .keras model",
    "import-model": "put a trained model into pretrained/, to fine-tune it with train.init_from",
    "demo": "run the pipeline on handwritten digits or on sentences, beside the work tree",
    "verify": "run the pipeline again in a temporary clone, and compare its files with the files here",
    "ablate": "change one ingredient of the recipe at a time, and show what each is worth",
    "track": "bring runs that DVC holds into MLflow",
    "show": "show where an MLflow run came from and how to repeat it",
    "promote": "register a run's model, and make it the champion if it is better",
    "ui": "serve the MLflow UI on this machine",
}


def make_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The argument parser of `cct`, with the arguments of the command in `words`."""
    common = argparse.ArgumentParser(add_help=False)
    level = common.add_mutually_exclusive_group()
    level.add_argument("-v", "--verbose", dest="level", action="store_const", const="debug", default=argparse.SUPPRESS,
                       help="log more")  # fmt: skip
    level.add_argument("-q", "--quiet", dest="level", action="store_const", const="warning", default=argparse.SUPPRESS,
                       help="log results, warnings and errors only")  # fmt: skip
    common.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )
    top = argparse.ArgumentParser(prog="cct", description=__doc__.splitlines()[0], parents=[common])
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        parser = commands.add_parser(name, help=summary, parents=[common])
        if name in words:
            module = importlib.import_module(f"cct.commands.{name.replace('-', '_')}")
            parser.description = module.__doc__.splitlines()[0]
            parser.set_defaults(main=module.main)
            if hasattr(module, "add_arguments"):
                module.add_arguments(parser)
    return top


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """The arguments. Inputs may also stand behind options, which argparse does not allow: `predict a --top 2 b`."""
    parser = make_parser(words)
    arguments, more = parser.parse_known_args(words)
    if more and (not hasattr(arguments, "inputs") or any(word.startswith("-") and word != "-" for word in more)):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if more:
        try:
            arguments.inputs += map(non_empty, more)
        except argparse.ArgumentTypeError as error:
            parser.error(f"argument INPUT: {error}")
    return arguments


@entry_point
def main(words: Sequence[str] | None = None) -> int | None:
    words = sys.argv[1:] if words is None else words
    arguments = _parsed(words)
    # Set in the environment, so that the stages that DVC starts use the same level.
    if hasattr(arguments, "level"):
        os.environ[VARIABLE] = arguments.level
    if hasattr(arguments, "debug"):
        os.environ[DEBUG] = "1"
    configure_logging()
    if arguments.command not in ANYWHERE:
        os.chdir(require_repository())
    return arguments.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
