"""The part `steps` of `gpu.py`: training steps on JAX against vit-pytorch in PyTorch, in turns.

Each contender stays in a process of its own and is asked for a turn of at least a second, one after the other. PyTorch
runs eagerly, with its images' channels last, and compiled. Turns alternate, so that a drift of the GPU's clock affects
all alike. A turn's figure is the median of its steps. Contenders of the same turn are compared: median (lowest to
highest). The first turn compiles and does not count.
"""

import contextlib
import json
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import contender
from common import TORCH, command_of, has_torch, spread

from cct.errors import CCTError

if TYPE_CHECKING:
    from gpu import Job

MODELS, PRECISIONS, BATCHES = ("cct_2_3x2", "cct_7_3x1", "keras_example"), ("mixed_bfloat16", "float32"), (128, 1024)
NOT_IN_TORCH = "keras_example"
TURNS, TURN_S = 5, 1.0


class Asked:
    """A process of `contender.py` that times a turn whenever it is asked.

    Attributes:
        versions: of its packages.
    """

    def __init__(self, process: subprocess.Popen, log: IO[bytes]) -> None:
        self.process, self.log = process, log

    def start(self) -> None:
        """Wait until the network is built, and make the first turn, which compiles.

        Raises:
            CCTError: the process ended.
        """
        self.versions = self._answer()["versions"]
        self.turn()

    def turn(self) -> float:
        """Seconds of a step, the median of a turn.

        Raises:
            CCTError: the process ended.
        """
        with contextlib.suppress(BrokenPipeError):  # its log says why
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        return statistics.median(self._answer()["seconds"])

    def _answer(self) -> dict[str, Any]:
        for line in self.process.stdout:
            if line.startswith("{"):  # libraries print, too
                return json.loads(line)
        self.process.wait()
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").strip()
        raise CCTError(f"{' '.join(self.process.args[2:])} ended with {self.process.returncode}: {said[-500:]}")


@contextlib.contextmanager
def contender_process(
    kind: str, name: str, precision: str, batch: int, *, seconds: float, python: str
) -> Iterator[Asked]:
    """Run a contender with turns of so many seconds. It begins to build its network."""
    words = command_of(kind, name, precision, str(batch), "0", "--turn-seconds", str(seconds), python=python)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with tempfile.TemporaryFile() as log, subprocess.Popen(words, stderr=log, **pipes) as process:
        try:
            yield Asked(process, log)
        finally:
            process.kill()  # it has nothing to lose


def steps(job: "Job") -> None:
    """Time the training steps of each model, precision and batch, ours and those of each form of vit-pytorch."""
    options, rows = job.options, job.report.setdefault("steps", [])
    notes = job.report["steps_notes"] = []
    torch = has_torch(options.torch_python)
    if not torch:
        notes.append(f"{options.torch_python} has no torch with vit-pytorch")
    contender.configure("jax", "float32")
    job.add_gpus()
    batches = (16,) if options.rehearse else BATCHES
    models = MODELS[:1] if options.rehearse else MODELS
    cells = [(n, p, b) for n in models if options.model in (None, n) for p in PRECISIONS for b in batches]
    for name, precision, batch in cells:
        if job.ends_soon():
            notes.append(f"no time was left from {name}, {precision}, batch {batch} on")
            return
        others = TORCH if torch and name != NOT_IN_TORCH else {}
        row, failed = measure(name, precision, batch, others=others, options=options)
        # Both sides compute float32 as TF32 on a GPU: JAX by default, PyTorch as contender.py sets it.
        rows.append(row | {"tf32": precision == "float32" and bool(job.report["gpus"])})
        notes += failed
        job.write()
        print(f"{name:14} {precision:15} {batch:5} images/s: {row['images_per_second']}, times others: {row['ratio']}")


def measure(
    name: str, precision: str, batch: int, *, others: dict[str, str], options: Any
) -> tuple[dict[str, Any], list[str]]:
    """A row of the table, and why contenders are not in it.

    Raises:
        CCTError: our own steps fail, or another contender fails after its first turn.
    """
    turns, seconds = (2, 0.05) if options.rehearse else (TURNS, TURN_S)
    failed, running = [], {}
    with contextlib.ExitStack() as stack:
        for title, kind in {"ours": "ours-jax", **others}.items():  # all build their networks at the same time
            process = contender_process(kind, name, precision, batch, seconds=seconds, python=options.torch_python)
            running[title] = stack.enter_context(process)
        for title, asked in list(running.items()):  # one after the other: XLA chooses kernels by their time
            try:
                asked.start()
            except CCTError as error:
                if title == "ours":
                    raise
                failed.append(f"{title} does not run here ({str(error).splitlines()[-1][:200]})")
                del running[title]
        found = {title: [] for title in running}
        for _ in range(turns):
            for title, asked in running.items():
                found[title].append(asked.turn())
        versions = {title: asked.versions for title, asked in running.items()}
    row = {"model": name, "precision": precision, "batch": batch, "turns": turns, "turn_seconds": seconds}
    row |= {"versions": versions, "seconds": {t: [round(one, 7) for one in each] for t, each in found.items()}}
    row["images_per_second"] = {title: round(batch / statistics.median(each)) for title, each in found.items()}
    row["ratio"] = {
        title: spread(b / a for a, b in zip(found["ours"], each, strict=True))
        for title, each in found.items()
        if title != "ours"
    }
    return row, failed
