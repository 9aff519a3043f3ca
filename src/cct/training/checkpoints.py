"""Checkpoints of unfinished trainings, on disk: whole or absent, found again by what decides the result.

They lie in `.cct/checkpoints/<digest>/` under the root of the repository, also where DVC runs an experiment in a
temporary folder. A file is named `<epoch>-<step>-<digest>.npz`. A file damaged by a power cut fails its digest; the
previous one is used. Nothing here is pickled, and nothing is in a file that DVC hashes. A training that cannot write
its checkpoint warns and continues.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from cct.errors import CCTError
from cct.files import sha256_of_file, write_atomically

KEPT = 2  # states of one run: the last, and the one before should the last be torn
RUNS = 8  # unfinished runs
BYTES = 4 << 30  # of all of them together
CONTENT = "content"


class Checkpoint(NamedTuple):
    """One state, as `States.save` got it."""

    content: dict[str, Any]
    arrays: dict[str, list[np.ndarray]]


class CheckpointStore:
    """The states of one run; a context, in which no other process has them.

    Attributes:
        folder: where they are.
        latest: the last whole state, or None where there is none.
        interval: seconds between two states within an epoch, from the environment variable CCT_CHECKPOINT_SECONDS.
        notes: what else shall be found again with the state (the MLflow run). Saved with every state.
    """

    def __init__(self, top: Path, fingerprint: str, say: Callable[[str], None] = print) -> None:
        """Take the states of a run.

        Args:
            top: folder of all runs' states.
            fingerprint: hexadecimal; equal for runs that must end in the same bits, and only for them.
            say: told when another process has this run, which is then waited for.
        """
        self.folder, self.say = top / fingerprint, say
        # Lock files are never removed (another process may be waiting on one), so there is a fixed number of them.
        self.lock = FileLock(top / f"{fingerprint[:4]}.lock")
        self.latest: Checkpoint | None = None
        self.notes: dict[str, Any] = {}
        self.interval = _interval()

    def __enter__(self) -> "CheckpointStore":
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(timeout=0)
        except Timeout:
            self.say("another process is training exactly this: waiting for its end")
            self.lock.acquire()
        except OSError as error:
            raise CCTError(
                f"cannot keep the states of trainings in {self.folder.parent}: {error.strerror}: make it a folder that "
                "can be written, or remove what is in its place"
            ) from error
        self._clear_old_runs()
        for path in reversed(self._files()):
            self.latest = _read_checkpoint(path)
            if self.latest is not None:
                self.notes = self.latest.content["notes"]
                break
            self.say(f"{path} is damaged and not used")
            path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.part"):  # of a process that was killed while it wrote
            path.unlink(missing_ok=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self.lock.release()

    def save(self, content: Mapping[str, Any], arrays: Mapping[str, Sequence[np.ndarray]]) -> None:
        """Write a state; the last whole one stays until this one is on the disk.

        Args:
            content: what JSON can hold, with `epoch` and `step`, whole numbers that say how far the run is.
            arrays: lists of arrays by name.
        """
        text = json.dumps({**content, "notes": self.notes, "lengths": {name: len(a) for name, a in arrays.items()}})
        flat = {f"{name}/{i}": array for name, group in arrays.items() for i, array in enumerate(group)}
        buffer = io.BytesIO()
        np.savez(buffer, **flat, **{CONTENT: np.frombuffer(text.encode(), np.uint8)})
        data = buffer.getbuffer()
        name = f"{content['epoch']:06}-{content['step']:08}-{hashlib.sha256(data).hexdigest()[:32]}.npz"
        try:
            write_atomically(self.folder / name, data)
        except OSError as error:
            print(
                f"warning: the state of this run could not be saved in {self.folder}: {error.strerror}. Training goes "
                "on; if it is interrupted now, it will go on from the last state before this one.",
                file=sys.stderr,
            )
            return
        for path in self._files()[:-KEPT]:
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all states of this run: it is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*-*-*.npz"))

    def _clear_old_runs(self) -> None:
        """Remove the oldest unfinished runs of all that are too many or too large, but no run that is going on."""
        runs = sorted((_age(folder), folder) for folder in self.folder.parent.iterdir() if folder.is_dir())
        sizes = {folder: _size(folder) for _, folder in runs}
        others = [folder for _, folder in runs if folder != self.folder]
        count, total = len(others), sum(sizes.values())
        for folder in others:
            if count < RUNS and total <= BYTES:
                return
            # Held by another process, or by this one: the run is going on, or shares its lock with one that is.
            with contextlib.suppress(Timeout), FileLock(folder.parent / f"{folder.name[:4]}.lock").acquire(timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
                count, total = count - 1, total - sizes[folder]


def run_digest(parts: Mapping[str, Any], files: Sequence[Path]) -> str:
    """What decides a run's result, as 40 hexadecimal digits.

    Args:
        parts: what JSON can hold.
        files: their contents count, and their names.

    Raises:
        CCTError: a file cannot be read.
    """
    whole = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for path in sorted(files):
        try:
            whole.update(f"\0{path}\0{sha256_of_file(path)}".encode())
        except OSError as error:
            raise CCTError(f"cannot read {path}: {error.strerror}") from error
    return whole.hexdigest()[:40]


def _read_checkpoint(path: Path) -> Checkpoint | None:
    """A state, or None where the file is not what was written."""
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest()[:32] != path.stem.rpartition("-")[2]:
            return None
        with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
            content = json.loads(loaded[CONTENT].tobytes())
            arrays = {
                name: [loaded[f"{name}/{i}"] for i in range(length)] for name, length in content.pop("lengths").items()
            }
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return Checkpoint(content, arrays)


def _age(folder: Path) -> float:
    with contextlib.suppress(OSError):
        return folder.stat().st_mtime
    return 0.0


def _size(folder: Path) -> int:
    with contextlib.suppress(OSError):  # of a run that another process finishes just now
        return sum(path.stat().st_size for path in folder.iterdir())
    return 0


def _interval() -> float:
    text = os.environ.get("CCT_CHECKPOINT_SECONDS", "60")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise CCTError(f"CCT_CHECKPOINT_SECONDS = {text!r}: must be a number of seconds, 0 or more")
    return value
