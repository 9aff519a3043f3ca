"""Checks, times and trains on a GPU lent for minutes, with JAX. DVC, MLflow and TensorFlow are not needed.

    python benchmarks/gpu.py check steps fast paper_300 --data FOLDER --out "$OUT" --seconds 540

The parts run in the given order until the time is up. `check`: the loss falls, and GPU and CPU give the same logits.
`steps`: the time of training steps against vit-pytorch's (`gpu_steps.py`). A preset, or `params.yaml` as it stands, is
trained and tested; `-S` changes its values. gpu.json is written after each part, row and epoch. An unfinished training
leaves its checkpoint; a later call resumes from it (`--resume`).
"""

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import contender
import gpu_steps
import numpy as np
from common import commit, source_digest

from cct import params
from cct.data.store import SPLITS, read_meta, read_split
from cct.entry import entry_point
from cct.errors import CCTError
from cct.evaluation.metrics import compute_metrics
from cct.experiments.presets import read_preset
from cct.experiments.settings import merged, read_settings
from cct.files import write_atomically
from cct.models.architectures import resolve_architecture
from cct.repository import repository_root
from cct.runtime.backend import configure_backend, describe_platform, jit_compile
from cct.runtime.machine import cpu_cores, cpu_info, installed_packages
from cct.training.checkpoints import CheckpointStore, run_digest

TOLERANCE = 1e-3  # of the logits
SHAPE, CLASSES = (32, 32, 3), 10  # of the models that contender.py builds
PIECE = 15 << 20  # bytes: a lent machine does not return files of more than 16 MiB
RESERVE, PACKED = 20, 60  # seconds: reserved for the end of a training; between two copies of its checkpoint
SMALL = {
    "model": {"num_layers": 1, "embed_dim": 32},
    "train": {"epochs": 3, "batch_size": 32, "warmup_epochs": 0, "cooldown_epochs": 0},
}


class Job:
    """One call: its options, data, report and remaining time."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.end = options, time.monotonic() + options.seconds
        self.meta, shown = read_meta(options.data), 256 if options.rehearse else None
        self.splits = {n: tuple(array[:shown] for array in read_split(options.data, n)) for n in SPLITS}
        data = {"name": self.meta["name"], "digest": self.meta["digest"], "images": self.meta["examples"]}
        self.report: dict[str, Any] = {"kind": "gpu", "rehearsal": options.rehearse, "data": data}
        self.report |= {"commit": commit() or None, "source": source_digest()}  # a lent machine may lack git
        self.report |= {"cpu": cpu_info()["model"], "cores": cpu_cores(), "packages": installed_packages()}

    def add_gpus(self) -> None:
        """Name the GPUs that JAX sees. Its backend must be configured."""
        import jax

        self.report["gpus"] = [device.device_kind for device in jax.devices() if device.platform == "gpu"]

    def left(self) -> float:
        return self.end - time.monotonic()

    def ends_soon(self) -> bool:
        """Whether too little time is left for another part."""
        return self.left() < 2 * RESERVE

    def write(self) -> None:
        write_atomically(self.options.out / "gpu.json", (json.dumps(self.report, indent=2) + "\n").encode())


def check(job: Job) -> None:
    """Train some steps in float32, and compare the logits of test images on GPU and CPU.

    Raises:
        CCTError: the data are others than those of the models here; the loss does not fall, or the logits differ.
    """
    shape, classes = tuple(job.meta["image_shape"]), len(job.meta["classes"])
    if (shape, classes) != (SHAPE, CLASSES):
        raise CCTError(
            f"check is for images of {_by(SHAPE)} in {CLASSES} classes, and {job.options.data} has images of "
            f"{_by(shape)} in {classes}: give it those of CIFAR-10, or leave check out"
        )
    network = contender.build("ours-jax", "cct_2_3x2", "float32")
    import jax

    from cct.tasks.image_classification.training import transforms
    from cct.training.batches import Examples, train_batches

    batch, count = (32, 8) if job.options.rehearse else (128, 80)
    augment, examples = params.load(repository_root() / "params.yaml", "augment"), Examples(*job.splits["train"])
    transform_of = transforms(examples, augment, 0)
    options = {"batch_size": batch, "classes": CLASSES, "seed": 0, "epochs": range(1000)}
    stream = train_batches(examples, **options, transform_of=transform_of)
    losses = network.fit(stream, steps_per_epoch=count, epochs=4, verbose=0, shuffle=False).history["loss"]
    images = np.asarray(job.splits["test"][0][:256])

    def logits(device: jax.Device, precision: str) -> np.ndarray:
        groups = network.trainable_variables, network.non_trainable_variables
        with jax.default_device(device), jax.default_matmul_precision(precision):
            placed = [[jax.device_put(variable.value, device) for variable in group] for group in groups]
            return np.asarray(network.stateless_call(*placed, jax.device_put(images, device))[0])

    expected = logits(jax.devices("cpu")[0], "highest")
    # By default a GPU computes float32 as TF32, with 10 bits. The tolerance applies to full float32.
    largest = {p: float(abs(logits(jax.devices()[0], p) - expected).max()) for p in ("highest", "default")}
    job.add_gpus()
    job.report["check"] = {"losses": losses, "largest_difference_of_logits": largest}
    print(f"loss {losses[0]:.3f} to {losses[-1]:.3f}, logits differ by at most {largest}")
    if not losses[-1] < losses[0] or not largest["highest"] < TOLERANCE:
        job.write()
        raise CCTError(f"the loss must fall ({losses}), and logits differ by less than {TOLERANCE:g} ({largest})")


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def sections(recipe: str, *, changes: Sequence[str] = (), small: bool) -> dict[str, Any]:
    """The sections of `params.yaml` that decide a training, with a preset and changes such as `train.seed=1` over them.

    Raises:
        ParamsError: the preset or a value is not valid, or a change names no parameter.
    """
    preset = {} if recipe == "params.yaml" else read_preset(recipe)
    content = merged(params.read_yaml(repository_root() / "params.yaml"), preset | read_settings(changes))
    # Kernels are faster if they need not be repeatable. That loses nothing: the same GPU is rarely available again.
    content["runtime"] |= {"backend": "jax", "deterministic": False}
    for section, fields in SMALL.items() if small else ():
        content[section] |= fields
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(content, file)  # JSON is YAML, too
        file.flush()
        loaded = params.load(Path(file.name))
    return {name: loaded[name] for name in ("model", "augment", "train", "runtime")}


def train(job: Job, preset: str) -> None:
    """Train a preset, from its checkpoint if there is one, until the time is up. Test a finished training."""
    options = job.options
    chosen = sections(preset, changes=options.set, small=options.rehearse)
    kind = configure_backend(chosen["runtime"], seed=chosen["train"].seed)
    from cct.models.build import build_model
    from cct.models.saving import save_model
    from cct.tasks.image_classification.training import transforms
    from cct.training.batches import Examples
    from cct.training.loop import train_model
    from cct.training.variables import parameters_of

    print(f"{preset}: {describe_platform(kind)}")
    parts = {name: section.model_dump() for name, section in chosen.items()} | {"data": job.meta["digest"]}
    entry = job.report.setdefault("trained", {})[preset] = {"machine": kind, "parameters": parts, "epochs": []}
    entry["command"] = shlex.join(["python", "benchmarks/gpu.py", preset, *(f"-S{change}" for change in options.set)])
    top, fingerprint = Path(tempfile.gettempdir(), "cct-gpu-checkpoints"), run_digest(parts, [])
    if options.resume:
        unpack(options.resume, top)
    architecture, classes = resolve_architecture(chosen["model"]), job.meta["classes"]
    shape, statistics_of = tuple(job.meta["image_shape"]), {name: job.meta[name] for name in ("mean", "std")}
    network = build_model(architecture, image_shape=shape, classes=len(classes), **statistics_of)
    entry["model_parameters"] = parameters_of(network)
    packed = time.monotonic()

    def on_epoch(row: dict[str, float]) -> None:
        nonlocal packed
        entry["epochs"].append(row | {"seconds": saved.end_epoch()})
        job.write()
        if time.monotonic() - packed > PACKED:
            pack(top / fingerprint, options.out)
            packed = time.monotonic()

    timer = threading.Timer(max(job.left() - RESERVE, 1), os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        with TimedStore(top, fingerprint) as saved:
            training = Examples(*job.splits["train"])
            entry["epochs"] += saved.earlier_epochs()
            history = train_model(
                network,
                training,
                Examples(*job.splits["val"]),
                config=chosen["train"],
                transform_of=transforms(training, chosen["augment"], chosen["train"].seed),
                jit_compile=jit_compile(chosen["runtime"]),
                checkpoints=saved,
                on_epoch=on_epoch,
            )
            saved.clear()
        for row, complete in zip(entry["epochs"], history, strict=True):
            row["best"] = complete["best"]
    except KeyboardInterrupt as error:
        entry["stopped"] = str(error)
    finally:
        timer.cancel()
        pack(top / fingerprint, options.out)
    if "stopped" not in entry:
        entry |= _tested(job, network)
        save_model(network, options.out / f"{preset}.keras", facts={"trained_on": [kind]})
    print(f"{preset}: {entry.get('test') or entry['stopped']}")


def _tested(job: Job, network: Any) -> dict[str, Any]:
    """The metrics of a model on the test split."""
    from cct.models.saving import predict_logits

    images, labels = job.splits["test"]
    logits = predict_logits(network, images, batch_size=256)
    return compute_metrics(logits, labels, len(job.meta["classes"]), confidence=0.95)


class TimedStore(CheckpointStore):
    """Checkpoints that also carry the seconds of a training, from one call to the next."""

    def __enter__(self) -> "TimedStore":
        super().__enter__()
        self.begun = time.monotonic() - self.notes.setdefault("seconds", 0.0)
        self.notes.setdefault("ends", [])
        return self

    def end_epoch(self) -> float:
        """The seconds of the training at the end of an epoch."""
        self.notes["ends"].append(round(time.monotonic() - self.begun, 2))
        return self.notes["ends"][-1]

    def earlier_epochs(self) -> list[dict[str, float]]:
        """The epochs of earlier calls, with the seconds of the training at their ends.

        Raises:
            CCTError: the checkpoint has no such seconds.
        """
        rows, ends = self.latest.content["history"] if self.latest else [], self.notes["ends"]
        if len(rows) != len(ends):
            raise CCTError("the checkpoint has no times: it is of an older gpu.py, so train without --resume")
        return [row | {"seconds": end} for row, end in zip(rows, ends, strict=True)]

    def save(self, content: Mapping[str, Any], arrays: Mapping[str, Sequence[np.ndarray]]) -> None:
        """As `CheckpointStore.save`. What comes after the last checkpoint is computed, and counted, again."""
        self.notes["seconds"] = time.monotonic() - self.begun
        super().save(content, arrays)


def pack(folder: Path, out: Path) -> None:
    """Copy the latest checkpoint of a run into `out` in pieces, and remove older ones. A finished run has none."""
    latest = max(folder.glob("*-*-*.npz"), default=None)
    content = latest.read_bytes() if latest else b""
    packed = set()
    for place, start in enumerate(range(0, len(content), PIECE)):
        packed.add(out / f"{folder.name}.{latest.name}.{place}")
        write_atomically(out / f"{folder.name}.{latest.name}.{place}", content[start : start + PIECE])
    for old in {*out.glob(f"{folder.name}.*")} - packed:  # last: this process may be killed at any time
        old.unlink()


def unpack(source: Path, top: Path) -> None:
    """Put packed checkpoints where trainings find them."""
    for first in source.glob("*.npz.0"):
        fingerprint, _, name = first.stem.partition(".")
        pieces = sorted(source.glob(f"{first.stem}.*"), key=lambda path: int(path.suffix[1:]))
        write_atomically(top / fingerprint / name, b"".join(path.read_bytes() for path in pieces))


PARTS = {"check": check, "steps": gpu_steps.steps}


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", metavar="PART", help="check, steps, a preset, or params.yaml")
    parser.add_argument("-S", "--set", action="append", default=[], metavar="KEY=VALUE", help="such as train.seed=1")
    parser.add_argument("--data", type=Path, required=True, help="a folder as the stage preprocess writes it")
    parser.add_argument("--out", type=Path, required=True, help="folder of what shall come back")
    parser.add_argument("--seconds", type=float, default=540, help="of the whole call (default: 540)")
    parser.add_argument("--resume", type=Path, help="what an earlier call left in its --out")
    parser.add_argument("--model", choices=gpu_steps.MODELS, help="only the steps of this model (default: all)")
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with torch, einops and vit-pytorch")
    parser.add_argument("--rehearse", action="store_true", help="all of it in small, for a CPU")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            sections(part, changes=options.set, small=options.rehearse)  # refuses a misspelt name before any work
    job = Job(options)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory, too
    for part in options.parts:
        if job.ends_soon():
            job.report["note"] = f"no time was left from {part} on"
            break
        if part in PARTS:
            PARTS[part](job)
        else:
            train(job, part)
        job.write()
    job.write()


if __name__ == "__main__":
    sys.exit(main())
