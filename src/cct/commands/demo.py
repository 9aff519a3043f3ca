"""Run the pipeline on a small data set as a DVC experiment, beside the work tree, and fetch its reports and model."""

import argparse
import logging
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from cct.commands.arguments import add_set_param
from cct.dvc import fetch_files, find_experiment, run_dvc
from cct.evaluation.reports import read_metrics
from cct.experiments.presets import preset_arguments
from cct.params import load
from cct.paths import METRICS, MODEL, PARAMS
from cct.repository import git, repository_root, require_experiments_kept


class Demo(NamedTuple):
    """A data set that needs no download, with its recipe.

    Attributes:
        preset: the recipe.
        folder: gets the reports and the model.
        target: of make.
        example: an input of the model, for `cct predict`.
    """

    preset: str
    folder: Path
    target: str
    example: str


DEMOS = {
    "digits": Demo("demo", Path("reports/demo"), "demo", "IMAGE"),
    "languages": Demo("demo_text", Path("reports/demo-text"), "demo-text", '"Der Mond ist heute nicht zu sehen."'),
}

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", nargs="?", choices=list(DEMOS), default="digits",
        help="handwritten digits, or sentences in twenty languages (default: digits)",
    )  # fmt: skip
    add_set_param(parser)


def main(arguments: argparse.Namespace) -> None:
    require_experiments_kept()
    top, demo = repository_root(), DEMOS[arguments.data]
    load(PARAMS)  # DVC's message about a mistake would be Hydra's
    new = git(top, "ls-files", "--others", "--exclude-standard", "--", "src", "presets", "data").split("\n")
    if new[0]:
        log.warning("git does not know %s, so the demo does not see it: git add it first", ", ".join(new[:5]))
    # Two demos may start in the same second. If their names were equal, DVC would replace the first by the second.
    name = f"{time.strftime('demo-%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    start = time.monotonic()
    settings = [word for setting in arguments.set_param for word in ("-S", setting)]
    run_dvc("exp", "run", "--temp", "--name", name, *preset_arguments(demo.preset), *settings)
    with tempfile.TemporaryDirectory(prefix="cct-demo-") as folder:
        fetched = Path(folder)
        # By commit, because another demo may have ended meanwhile.
        fetch_files(top, find_experiment(name).commit, ["reports", MODEL, PARAMS], fetched)
        summary, level = read_metrics(fetched / METRICS), load(fetched / PARAMS, "evaluate").confidence_level
        with FileLock(top / ".cct/demo.lock"):
            shutil.rmtree(top / demo.folder, ignore_errors=True)
            shutil.copytree(fetched / "reports", top / demo.folder)
            shutil.copyfile(fetched / MODEL, top / demo.folder / MODEL.name)
    test, seconds = summary["test"], round(time.monotonic() - start)
    print(
        f"\n{name}: {test['accuracy']:.2%} of {test['examples']} test examples right "
        f"({test['accuracy_low']:.1%} to {test['accuracy_high']:.1%} with {100 * level:.4g} % confidence), "
        f"{summary['model']['parameters']:,} parameters, {seconds} s\n\n"
        f"  look at the figures   {demo.folder}/figures/\n"
        f"  use the model         cct predict --model {demo.folder / MODEL.name} {demo.example}\n"
        f"  open the MLflow UI    make ui\n"
        f'  change a parameter    make {demo.target} ARGS="-S train.epochs=60 -S model.num_layers=4"\n'
    )
