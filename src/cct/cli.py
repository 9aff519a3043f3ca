"""The `cct` command: what DVC and MLflow do not do themselves."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from cct import __version__, data, params, presets, tracking
from cct.errors import CCTError, command, redact

DEMO = Path("reports/demo")


def check(arguments: argparse.Namespace) -> None:
    """Check a parameter file, without running anything."""
    sections = params.load(arguments.file)
    data.read_source(Path(sections["data"].source))
    print(f"{arguments.file}: {sum(len(s.model_fields_set) for s in sections.values())} parameters, no mistake")


def preset(arguments: argparse.Namespace) -> None:
    """Print a preset as arguments of `dvc exp run`, or list the presets."""
    if arguments.name:
        try:
            print(" ".join(presets.overrides(arguments.name)))
        except CCTError:
            # In `dvc exp run $(cct preset NAME)` the shell drops our failure and DVC would run the defaults.
            print(f"--no-such-preset={arguments.name}")
            raise
        return
    for name in presets.names():
        print(f"{name:16}{presets.title(name)}")


def demo(arguments: argparse.Namespace) -> None:
    """Run the pipeline on handwritten digits as a DVC experiment, beside the work tree, and fetch its reports."""
    name = time.strftime("demo-%Y%m%d-%H%M%S")
    start = time.monotonic()
    chosen = [word for setting in arguments.set_param for word in ("-S", setting)]
    _dvc("exp", "run", "--temp", "--name", name, *presets.overrides("demo"), *chosen)
    from dvc.api import DVCFileSystem

    shutil.rmtree(DEMO, ignore_errors=True)
    DVCFileSystem(".", rev=name).get("reports", str(DEMO), recursive=True)
    summary = json.loads((DEMO / "metrics.json").read_text(encoding="utf-8"))
    test, seconds = summary["test"], round(time.monotonic() - start)
    print(
        f"\n{name}: {test['accuracy']:.2%} of {test['images']} test pictures right "
        f"({test['accuracy_low']:.1%} to {test['accuracy_high']:.1%} with 95 % confidence), "
        f"{summary['model']['parameters']:,} parameters, {seconds} s\n\n"
        f"  look at the figures   {DEMO}/figures/\n"
        f"  open the MLflow UI    make ui\n"
        f'  change a parameter    make demo ARGS="-S train.epochs=60 -S model.layers=4"\n'
    )


def ui(arguments: argparse.Namespace) -> None:
    """Serve the MLflow UI on this machine only."""
    uri, address = tracking.store(), f"http://127.0.0.1:{arguments.port}"
    if uri.startswith(("http://", "https://")):
        raise CCTError(f"MLFLOW_TRACKING_URI names a server: open its own address ({redact(uri)})")
    print(f"MLflow UI on {address} (Ctrl-C ends it)")
    # Without the job runner the server starts in a quarter of the time; nothing here uses it.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ}
    server = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(arguments.port)]
    options = ["--workers", "1", "--backend-store-uri", uri]
    sys.exit(subprocess.run([*server, *options], env=environment, check=False).returncode)


def _dvc(*words: str) -> None:
    """Run DVC and pass on what it says, but for its warnings that a first run has no outputs yet.

    Raises:
        CCTError: it failed; it has said why.
    """
    binary = Path(sys.executable).with_name("dvc")
    with subprocess.Popen([binary, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            for line in process.stdout:
                if "No file hash info found for" not in line:
                    print(line, end="", flush=True)
        except KeyboardInterrupt:  # DVC got it too, and clears its folder up before it ends
            process.wait()
            raise
    if process.returncode:
        raise CCTError(f"dvc {words[0]} {words[1]} ended with exit code {process.returncode}")


def parser() -> argparse.ArgumentParser:
    """The arguments of `cct`."""
    top = argparse.ArgumentParser(prog="cct", description=__doc__.splitlines()[0])
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(function, **options) -> argparse.ArgumentParser:
        text = function.__doc__.splitlines()[0]
        added = commands.add_parser(function.__name__, help=text, description=text, **options)
        added.set_defaults(function=function)
        return added

    add(check).add_argument("file", type=Path, nargs="?", default=Path("params.yaml"), help="default: params.yaml")
    add(preset).add_argument("name", nargs="?", help="without one, all are listed")
    add(demo).add_argument(
        "-S",
        "--set-param",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="as in dvc exp run: train.epochs=60",
    )
    add(ui).add_argument("--port", type=int, default=5000, help="default: 5000")
    return top


@command
def main(words: list[str] | None = None) -> None:
    arguments = parser().parse_args(words)
    arguments.function(arguments)


if __name__ == "__main__":
    sys.exit(main())
