"""The `cct` command: what DVC and MLflow do not do themselves."""

import argparse
import difflib
import functools
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cct import __version__, params, paths
from cct.data.sources import read_source
from cct.dvc import fetch_files, pipeline_outputs, require_up_to_date, run_dvc
from cct.entry import entry_point
from cct.errors import CCTError
from cct.log import redact
from cct.experiments.presets import preset_arguments, preset_names, preset_title
from cct.experiments.reproduce import EXIT, compare_outputs, machine_differences, summarize_findings
from cct.experiments.workspace import clone_work_tree
from cct.models.architectures import ModelParams, resolve_architecture
from cct.models.cost import model_table
from cct.repository import repository_root
from cct.runtime.backend import configure_backend
from cct.runtime.params import PLAIN
from cct.tracking.store import DATABASE, VIEW, Store, tracking_uri

DEMO = Path("reports/demo")
# Mean and standard deviation of the channels that the authors' recipes standardise with.
STATISTICS = {
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    "cifar100": ([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]),
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}


def check(arguments: argparse.Namespace) -> None:
    """Check a parameter file, without running anything."""
    sections = params.load(arguments.file)
    read_source(Path(sections["data"].source))
    print(f"{arguments.file}: {sum(len(s.model_fields_set) for s in sections.values())} parameters, no mistake")


def preset(arguments: argparse.Namespace) -> None:
    """Print a preset as arguments of `dvc exp run`, or list the presets."""
    if arguments.name:
        try:
            print(" ".join(preset_arguments(arguments.name)))
        except CCTError:
            # In `dvc exp run $(cct preset NAME)` the shell drops our failure and DVC would run the defaults.
            print(f"--no-such-preset={arguments.name}")
            raise
        return
    for name in preset_names():
        print(f"{name:16}{preset_title(name)}")


def models(arguments: argparse.Namespace) -> None:
    """Print every named model: parameters, multiply-adds, tokens, and what its authors published on CIFAR-10."""
    height, width, channels = arguments.image
    rows = model_table(height=height, width=width, channels=channels, classes=arguments.classes)
    print(f"{'name':15} {'parameters':>11} {'MACs':>9} {'tokens':>6}  published")
    for row in rows:
        published = f"{row.accuracy:.2f} % at {row.epochs} epochs" if row.accuracy else ""
        print(f"{row.name:15} {row.parameters:11,} {row.macs / 1e9:7.3f} G {row.tokens:6}  {published}".rstrip())


def import_checkpoint(arguments: argparse.Namespace) -> None:
    """Turn an official PyTorch checkpoint into a .keras model, safely: every tensor is mapped, nothing is executed."""
    given = {"name": arguments.model, "positions": arguments.positions}
    chosen = params.parse(ModelParams, given, where=Path("the command line"))
    mean, std = STATISTICS[arguments.standardize]
    configure_backend(PLAIN, seed=0)
    from cct.models.build import build_model
    from cct.models.saving import save_model
    from cct.models.torch_import import import_weights, read_torch

    tensors = read_torch(arguments.file)
    architecture, shape = resolve_architecture(chosen), tuple(arguments.image)
    network = build_model(architecture, image_shape=shape, classes=arguments.classes, mean=mean, std=std)
    import_weights(tensors, network, architecture, image_shape=shape)
    out = arguments.out or arguments.file.with_suffix(".keras")
    save_model(network, out)
    print(f"{out}: {arguments.model}, {network.count_params():,} parameters, {len(tensors)} tensors imported")


def demo(arguments: argparse.Namespace) -> None:
    """Run the pipeline on handwritten digits as a DVC experiment, beside the work tree, and fetch its reports."""
    name = time.strftime("demo-%Y%m%d-%H%M%S")
    start = time.monotonic()
    chosen = [word for setting in arguments.set_param for word in ("-S", setting)]
    run_dvc("exp", "run", "--temp", "--name", name, *preset_arguments("demo"), *chosen)
    from dvc.api import DVCFileSystem

    shutil.rmtree(DEMO, ignore_errors=True)
    DVCFileSystem(".", rev=name).get("reports", str(DEMO), recursive=True)
    summary = json.loads((DEMO / "metrics.json").read_text(encoding="utf-8"))
    test, seconds = summary["test"], round(time.monotonic() - start)
    print(
        f"\n{name}: {test['accuracy']:.2%} of {test['images']} test images right "
        f"({test['accuracy_low']:.1%} to {test['accuracy_high']:.1%} with 95 % confidence), "
        f"{summary['model']['parameters']:,} parameters, {seconds} s\n\n"
        f"  look at the figures   {DEMO}/figures/\n"
        f"  open the MLflow UI    make ui\n"
        f'  change a parameter    make demo ARGS="-S train.epochs=60 -S model.num_layers=4"\n'
    )


def verify(arguments: argparse.Namespace) -> int:
    """Run the pipeline again in a temporary clone and compare all it writes with what is here, file by file."""
    top = repository_root()
    names = pipeline_outputs(top)
    with tempfile.TemporaryDirectory(prefix="cct-verify-") as folder:
        first, second = top, Path(folder, "second")
        if arguments.quick:
            first = Path(folder, "first")
            for clone in (first, second):
                clone_work_tree(top, clone)
                run_dvc("exp", "run", *preset_arguments("demo"), folder=clone)
        elif arguments.against is not None:
            fetch_files(top, arguments.against, names, second)
        else:
            require_up_to_date(top)
            clone_work_tree(top, second)
            run_dvc("repro", folder=second)
        findings = compare_outputs(first, second, names, tolerance=arguments.tolerance)
        differences = machine_differences(first / paths.MODEL, second / paths.MODEL)
    width = max(len(finding.name) for finding in findings)
    print(*(f"{finding.name:{width}}  {finding.text}" for finding in findings), sep="\n")
    worst = max(finding.verdict for finding in findings)
    print(summarize_findings(findings, differences, arguments.tolerance))
    return EXIT[worst]


def ablate(arguments: argparse.Namespace) -> int:
    """Run a recipe with one ingredient changed at a time through DVC's queue, and draw what each was worth."""
    from cct.experiments.ablation.run import run_ablation

    file = arguments.file.resolve()
    os.chdir(repository_root())
    complete = run_ablation(
        Path(os.path.relpath(file)),
        settings=arguments.set_param,
        seeds=arguments.seeds,
        only=arguments.only,
        jobs=arguments.jobs,
    )
    return int(not complete)


def track(arguments: argparse.Namespace) -> int:
    """Bring what DVC holds into MLflow: the work tree, or experiments; what is there already is not doubled."""
    from cct.dvc import list_experiments
    from cct.tracking.store import explained_errors
    from cct.tracking.sync import track_experiment, track_revision, track_work_tree

    with explained_errors():
        store = Store()
    found = list_experiments()
    chosen = [e for e in found if arguments.all or e.name == arguments.exp]
    if arguments.exp is not None and not chosen:
        near = difflib.get_close_matches(arguments.exp, [e.name for e in found], n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(e.name for e in found) or 'none'}"
        raise CCTError(f"no experiment {arguments.exp!r}; {hint}")
    jobs = [functools.partial(track_experiment, store, experiment) for experiment in chosen]
    if arguments.rev is not None:
        jobs.append(functools.partial(track_revision, store, arguments.rev))
    elif arguments.exp is None and not arguments.all:
        jobs.append(functools.partial(track_work_tree, store))
    missed = [job for job in jobs if not _tracked(job, "error: ")]
    if arguments.all:
        _tracked(functools.partial(track_work_tree, store), "left out, the work tree: ")
    return int(bool(missed))


def _tracked(job: Callable[[], str], otherwise: str) -> bool:
    """Do it and say what it says; if it fails, say why after `otherwise`, and go on."""
    from cct.tracking.store import explained_errors

    try:
        with explained_errors():
            print(job())
    except CCTError as error:
        print(f"{otherwise}{redact(str(error))}", file=sys.stderr)
        return False
    return True


def run(arguments: argparse.Namespace) -> None:
    """Say what an MLflow run came from and how to make it again."""
    from cct.tracking.show import apply_run, describe_run
    from cct.tracking.store import explained_errors

    with explained_errors():
        store = Store()
        for name, value in describe_run(store, arguments.id).items():
            print(f"{name.replace('_', ' '):14}{value}")
        if arguments.apply:
            print(apply_run(store, arguments.id))


def promote(arguments: argparse.Namespace) -> None:
    """Register a run's model, and make it the champion if it beats the present one by more than chance."""
    from cct.tracking.promote import promote
    from cct.tracking.store import explained_errors

    with explained_errors():
        print(promote(Store(), arguments.id, metric=arguments.metric, force=arguments.force))


def ui(arguments: argparse.Namespace) -> int:
    """Serve the MLflow UI on this machine only, with every experiment that DVC has."""
    uri, address = tracking_uri(), f"http://127.0.0.1:{arguments.port}"
    if uri.startswith(("http://", "https://")):
        raise CCTError(f"MLFLOW_TRACKING_URI names a server: open its own address ({redact(uri)})")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", arguments.port))
        except OSError as error:
            raise CCTError(f"port {arguments.port} is not free: make ui PORT=5001, or another") from error
    if uri == f"sqlite:///{repository_root() / DATABASE}":
        from cct.tracking.store import explained_errors
        from cct.tracking.sync import track_experiment, untracked_experiments

        with explained_errors():
            store = Store()  # made under a lock if it is not there; the server would make it without one
            missing = untracked_experiments(store)
        for experiment in missing:
            _tracked(functools.partial(track_experiment, store, experiment), "warning: not in MLflow: ")
        address += f"/#/experiments/{store.experiment}/runs?viewStateShareKey={VIEW}"
    print(f"MLflow UI on {address} in a few seconds (Ctrl-C ends it)")
    environment = {
        # Without the job runner the server starts in a quarter of the time; nothing here uses it.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONWARNINGS": "ignore",
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri,  # not on the command line, which everybody can read: it may have a password
    }
    server = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(arguments.port)]
    options = ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    with subprocess.Popen([*server, *options], env=environment, start_new_session=True) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGTERM)  # it has children of its own
            process.wait()
            return 0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, from 1 to 65535")
    return int(text)


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return value


def parser() -> argparse.ArgumentParser:
    """The arguments of `cct`."""
    top = argparse.ArgumentParser(prog="cct", description=__doc__.splitlines()[0])
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(function, **options) -> argparse.ArgumentParser:
        text = function.__doc__.splitlines()[0]
        added = commands.add_parser(function.__name__.replace("_", "-"), help=text, description=text, **options)
        added.set_defaults(function=function)
        return added

    add(check).add_argument("file", type=Path, nargs="?", default=Path("params.yaml"), help="default: params.yaml")
    which = add(preset).add_mutually_exclusive_group()
    which.add_argument("name", nargs="?", help="the preset's name; without one, all are listed")
    which.add_argument("--list", action="store_true", help="list all presets with what they are")
    imported = add(import_checkpoint)
    for each in (add(models), imported):
        each.add_argument("--classes", type=_positive, default=10, help="default: 10")
        each.add_argument(
            "--image", type=_positive, nargs=3, default=(32, 32, 3), metavar=("H", "W", "C"), help="default: 32 32 3"
        )
    imported.add_argument("file", type=Path, help="a .pth file")
    imported.add_argument("--model", required=True, help="its name, as cct models lists it: cct_7_3x1")
    imported.add_argument("--positions", choices=["learnable", "sinusoidal", "none"], default="learnable")
    imported.add_argument("--standardize", choices=list(STATISTICS), default="cifar10", help="default: cifar10")
    imported.add_argument("--out", type=Path, help="default: FILE with the ending .keras")
    ablated = add(ablate)
    for each in (add(demo), ablated):
        each.add_argument(
            "-S",
            "--set-param",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help="as in dvc exp run: train.epochs=60",
        )
    ablated.add_argument("--only", metavar="CHANGE", nargs="+", default=[], help="run the base and these, by name")
    ablated.add_argument(
        "--seeds", metavar="SEED", nargs="+", type=int, default=[], help="of each change (default: the file's)"
    )
    ablated.add_argument("--jobs", type=_positive, default=2, help="experiments at a time (default: 2)")
    ablated.add_argument("--file", type=Path, default=Path("benchmarks/ablation.yaml"), help="default: %(default)s")
    verified = add(
        verify,
        epilog="Ends with 0 if all files are identical, 3 if they differ within the tolerance only, 1 otherwise.",
    )
    how = verified.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="run the demo twice instead, and compare those")
    how.add_argument("--against", metavar="REV", help="run nothing: compare with a commit's or experiment's files")
    verified.add_argument(
        "--tolerance", type=_tolerance, default=1e-3, help="largest excusable difference of numbers (default: 0.001)"
    )
    what = add(track).add_mutually_exclusive_group()
    what.add_argument("--exp", metavar="NAME", help="one experiment of DVC's")
    what.add_argument("--all", action="store_true", help="all experiments, and the work tree")
    what.add_argument("--rev", metavar="REV", help="a commit, branch or tag that has a dvc.lock")
    described = add(run)
    described.add_argument("--apply", action="store_true", help="bring it into the work tree, too")
    promoted = add(promote)
    for each in (described, promoted):
        each.add_argument("id", metavar="RUN_ID", help="as the MLflow UI shows it")
    promoted.add_argument("--metric", default="test/accuracy", help="that decides (default: test/accuracy)")
    promoted.add_argument("--force", action="store_true", help="even if it is no better")
    add(ui).add_argument("--port", type=_port, default=5000, help="default: 5000")
    return top


@entry_point
def main(words: list[str] | None = None) -> int | None:
    arguments = parser().parse_args(words)
    return arguments.function(arguments)


if __name__ == "__main__":
    sys.exit(main())
