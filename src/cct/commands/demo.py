"""Run the pipeline on handwritten digits as a DVC experiment, beside the work tree, and fetch its reports and model."""

import argparse
import logging
import secrets
import shutil
import tempfile
import time
from pathlib import Path

from filelock import FileLock

from cct.commands.arguments import add_set_param
from cct.dvc import fetch_files, find_experiment, run_dvc
from cct.evaluation.reports import read_metrics
from cct.experiments.presets import preset_arguments
from cct.params import load
from cct.paths import METRICS, MODEL, PARAMS
from cct.repository import git, repository_root, require_experiments_kept

FOLDER = Path("reports/demo")

log = logging.getLogger(__name__)

add_arguments = add_set_param


def main(arguments: argparse.Namespace) -> None:
    require_experiments_kept()
    top = repository_root()
    load(PARAMS)  # DVC's message about a mistake would be Hydra's
    new = git(top, "ls-files", "--others", "--exclude-standard", "--", "src", "presets", "data/sources").split("\n")
    if new[0]:
        log.warning("git does not know %s, so the demo does not see it: git add it first", ", ".join(new[:5]))
    # Two demos may start in the same second. If their names were equal, DVC would replace the first by the second.
    name = f"{time.strftime('demo-%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    start = time.monotonic()
    settings = [word for setting in arguments.set_param for word in ("-S", setting)]
    run_dvc("exp", "run", "--temp", "--name", name, *preset_arguments("demo"), *settings)
    with tempfile.TemporaryDirectory(prefix="cct-demo-") as folder:
        fetched = Path(folder)
        # By commit, because another demo may have ended meanwhile.
        fetch_files(top, find_experiment(name).commit, ["reports", MODEL, PARAMS], fetched)
        summary, level = read_metrics(fetched / METRICS), load(fetched / PARAMS, "evaluate").confidence_level
        with FileLock(top / ".cct/demo.lock"):
            shutil.rmtree(top / FOLDER, ignore_errors=True)
            shutil.copytree(fetched / "reports", top / FOLDER)
            shutil.copyfile(fetched / MODEL, top / FOLDER / MODEL.name)
    test, seconds = summary["test"], round(time.monotonic() - start)
    print(
        f"\n{name}: {test['accuracy']:.2%} of {test['examples']} test examples right "
        f"({test['accuracy_low']:.1%} to {test['accuracy_high']:.1%} with {100 * level:.4g} % confidence), "
        f"{summary['model']['parameters']:,} parameters, {seconds} s\n\n"
        f"  look at the figures   {FOLDER}/figures/\n"
        f"  use the model         cct predict --model {FOLDER / MODEL.name} IMAGE\n"
        f"  open the MLflow UI    make ui\n"
        f'  change a parameter    make demo ARGS="-S train.epochs=60 -S model.num_layers=4"\n'
    )
