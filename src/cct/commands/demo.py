"""Run the pipeline on handwritten digits as a DVC experiment, beside the work tree, and fetch its reports."""

import argparse
import shutil
import time
from pathlib import Path

from cct.commands.arguments import add_set_param
from cct.dvc import run_dvc
from cct.evaluation.reports import read_metrics
from cct.experiments.presets import preset_arguments

FOLDER = Path("reports/demo")

add_arguments = add_set_param


def main(arguments: argparse.Namespace) -> None:
    name = time.strftime("demo-%Y%m%d-%H%M%S")
    start = time.monotonic()
    settings = [word for setting in arguments.set_param for word in ("-S", setting)]
    run_dvc("exp", "run", "--temp", "--name", name, *preset_arguments("demo"), *settings)
    from dvc.api import DVCFileSystem

    shutil.rmtree(FOLDER, ignore_errors=True)
    DVCFileSystem(".", rev=name).get("reports", str(FOLDER), recursive=True)
    summary = read_metrics(FOLDER / "metrics.json")
    test, seconds = summary["test"], round(time.monotonic() - start)
    print(
        f"\n{name}: {test['accuracy']:.2%} of {test['examples']} test examples right "
        f"({test['accuracy_low']:.1%} to {test['accuracy_high']:.1%} with 95 % confidence), "
        f"{summary['model']['parameters']:,} parameters, {seconds} s\n\n"
        f"  look at the figures   {FOLDER}/figures/\n"
        f"  open the MLflow UI    make ui\n"
        f'  change a parameter    make demo ARGS="-S train.epochs=60 -S model.num_layers=4"\n'
    )
