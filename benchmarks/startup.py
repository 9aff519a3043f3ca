"""What a command costs before it computes: `dvc repro` with nothing to do, each stage, and the import of Keras.

The data are the digits, and the training has one epoch, so that a stage is little more than its start. Everything runs
in a clone of this commit, in the order of a user's: a warm cache of files, and each stage a new process.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import HERE, here, read_machines, spread, write

from cct.commands.arguments import whole_number
from cct.entry import entry_point

IMPORT = "from cct.runtime.backend import import_keras; import_keras('tensorflow')"
# A line of the output that begins with one of these ends the part with this title.
MARKS = {
    "Running stage 'download'": "dvc repro, until the first stage",
    "Running stage 'preprocess'": "download",
    "Running stage 'train'": "preprocess",
    "cct_2_3x1: ": "train, until the model is built",
    "Running stage 'evaluate'": "train, the rest",
    "Running stage 'plot'": "evaluate",
    "Use `dvc push`": "plot",
}


def timed(*words: str, folder: Path) -> dict[str, float]:
    """Run a command. Return the seconds of each part of `MARKS` and of the whole."""
    found = {}
    start = last = time.perf_counter()
    with subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
    ) as process:
        said = []
        for line in process.stdout:
            now = time.perf_counter()
            said.append(line)
            for mark, title in MARKS.items():
                if line.startswith(mark):
                    found[title], last = now - last, now
    if process.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{''.join(said)[-2000:]}")
    return found | {"all": time.perf_counter() - start}


def environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=whole_number(1000), default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results/startup.json")
    arguments = parser.parse_args()
    machine, content = here(), read_machines(arguments.out, "startup")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "clone")
        subprocess.run(["git", "clone", "--quiet", str(HERE.parent), str(clone)], check=True)
        preset = subprocess.run(
            ["cct", "preset", "demo"], cwd=clone, env=environment(), check=True, capture_output=True, text=True
        )
        timed("dvc", "exp", "run", *preset.stdout.split(), "-S", "train.epochs=1", folder=clone)
        stages = [timed("dvc", "repro", "--force", folder=clone) for _ in range(arguments.turns)]
        nothing = [timed("dvc", "repro", folder=clone)["all"] for _ in range(arguments.turns)]
        imports = [timed(sys.executable, "-c", IMPORT, folder=clone)["all"] for _ in range(arguments.turns)]
    rows = {title: spread(one[title] for one in stages) for title in (*MARKS.values(), "all")}
    rows |= {"dvc repro, nothing to do": spread(nothing), "import of Keras and TensorFlow": spread(imports)}
    content["machines"][machine["cpu"]] = machine | {"turns": arguments.turns, "seconds": rows}
    write(arguments.out, content)
    for title, (middle, low, high) in rows.items():
        print(f"{title:36} {middle:6.2f} s ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    sys.exit(main())
