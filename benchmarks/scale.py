"""What `preprocess` and an epoch's input cost, by the number and the size of images: `make bench-scale`.

    python benchmarks/scale.py [--most 1000000] [--folder FOLDER] [--out benchmarks/results/scale.json]

Images are made at random, all different, as JPEG files in one tar archive. Each measurement runs in a process of its
own. Memory is private memory (RssAnon) of all its processes together, at its highest. Memory-mapped arrays and the
cache of the disk are not in it: the system takes them back when it needs the room. The disk needs about 35 GB.
"""

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import ROOT, here, read_earlier, write

from cct.commands.arguments import whole_number
from cct.data.images.source import list_images, prepare_images
from cct.data.params import PreprocessParams
from cct.data.prepare import write_processed
from cct.data.store import read_split
from cct.entry import entry_point
from cct.errors import CCTError
from cct.tasks.preparation import PREPARATION_TASKS

SIZES = {32: (1_000, 10_000, 100_000, 1_000_000), 224: (1_000, 10_000, 100_000)}
CLASSES, BATCH = 10, 128
OPTIONS = PreprocessParams(  # those of params.yaml, whatever a user has there
    train_fraction=1.0,
    validation_fraction=0.1,
    test_fraction=0.2,
    seed=0,
    image_size=None,
    resize="crop",
    channels="auto",
    background="white",
    class_folder=None,
    on_bad_image="fail",
)
INTERVAL = 0.05  # seconds between two looks at the memory


def jpeg(size: int, number: int) -> bytes:
    """An image of soft spots that no other number has."""
    from PIL import Image

    rng = np.random.default_rng([size, number])
    spots = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    file = io.BytesIO()
    spots.resize((size, size), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    return file.getvalue()


def jpegs(job: tuple[int, range]) -> list[bytes]:
    size, numbers = job
    return [jpeg(size, number) for number in numbers]


def write_archive(path: Path, *, size: int, count: int) -> None:
    """A tar archive of `count` images in `CLASSES` folders."""
    jobs = ((size, range(start, min(start + 500, count))) for start in range(0, count, 500))
    with ProcessPoolExecutor() as pool, tarfile.open(path, "w") as archive:
        number = 0
        for contents in pool.map(jpegs, jobs):
            for content in contents:
                member = tarfile.TarInfo(f"{number % CLASSES}/{number:07}.jpg")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
                number += 1


def preprocess(archive: str, folder: str) -> dict[str, Any]:
    """What the stage does, without DVC around it."""
    begun = time.perf_counter()
    task = PREPARATION_TASKS["image_classification"]
    with prepare_images(
        list_images(Path(archive)), OPTIONS, name="scale", folder=Path(folder, "decoded"), made_by=[]
    ) as prepared:
        meta = write_processed(Path(folder, "processed"), prepared, task="image_classification", describe=task.describe)
    seconds = round(time.perf_counter() - begun, 5)
    return {"examples": sum(meta["examples"].values()), "duplicates": meta["duplicates"]["near"], "seconds": seconds}


def epoch(archive: str, folder: str) -> dict[str, Any]:
    """All batches of one shuffled epoch, without a model."""
    from cct.training.batches import Examples, train_batches  # imports Keras, which the workers of preprocess must not

    begun = time.perf_counter()
    examples = Examples(*read_split(Path(folder, "processed"), "train"))
    batches: Iterator[Any] = train_batches(examples, batch_size=BATCH, classes=CLASSES, seed=0, epochs=range(1))
    count = sum(len(inputs) for inputs, *_ in batches)
    return {"examples": count, "seconds": round(time.perf_counter() - begun, 5)}


def measure(job: str, archive: Path, folder: Path) -> dict[str, Any]:
    """Run a job in a process of its own: what it prints, and its highest memory."""
    words = [sys.executable, __file__, "--job", job, str(archive), str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        highest, ended = [0], threading.Event()
        watcher = threading.Thread(target=watch, args=(process.pid, highest, ended))
        watcher.start()
        said = process.communicate()[0]
        ended.set()
        watcher.join()
    if process.returncode:
        sys.exit(f"{job} of {archive} failed")
    return json.loads(said.splitlines()[-1]) | {"memory_mb": highest[0] >> 20}


def watch(pid: int, highest: list[int], ended: threading.Event) -> None:
    """Note the highest private memory of a process and its children together, in bytes."""
    while not ended.wait(INTERVAL):
        try:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            highest[0] = max(highest[0], sum(private_memory(process.pid) for process in family))
        except psutil.NoSuchProcess:
            pass


def private_memory(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("RssAnon:")), 0)


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--most", type=whole_number(1_000_000), default=1_000_000, help="leave out larger numbers of images"
    )
    parser.add_argument("--folder", type=Path, help="where the archives and arrays are written and removed")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/scale.json")
    parser.add_argument("--job", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        job, *paths = arguments.job
        print(json.dumps({"preprocess": preprocess, "epoch": epoch}[job](*paths)))
        return
    if arguments.folder and not arguments.folder.is_dir():
        raise CCTError(f"--folder {arguments.folder} is no folder: make it, on a disk with 35 GB free")
    read_earlier(arguments.out, "scale")  # refuses to replace another file
    report: dict[str, Any] = {"kind": "scale"} | here() | {"rows": []}
    for size, counts in SIZES.items():
        for count in counts:
            if count > arguments.most:
                continue
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                archive = Path(folder, "images.tar")
                write_archive(archive, size=size, count=count)
                row = {"size": size, "images": count, "archive_bytes": archive.stat().st_size}
                for job in ("preprocess", "epoch"):
                    row[job] = measure(job, archive, Path(folder))
            report["rows"].append(row)
            write(arguments.out, report)  # what is measured stays if the rest is interrupted
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
