"""Checkpoints of trainings on disk. A training finds its checkpoints by the digest of all that decides its result.

They lie in `.cct/checkpoints/<digest>/` under the repository root, also when DVC runs an experiment in a temporary
folder. A file is named `<epoch>-<step>-<digest>.npz` and is written atomically. A checkpoint damaged by a power cut
fails its checksum; the previous one is used. Nothing here is pickled. DVC hashes none of these files. A training that
cannot write its checkpoint warns and continues. The last checkpoint stays until DVC has the training's outputs.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from cct.errors import CCTError
from cct.files import sha256_of_file, write_atomically

log = logging.getLogger(__name__)

CHECKPOINTS_PER_RUN = 2  # checkpoints of one run: the latest, and the previous one in case the latest is damaged
CHECKPOINTS = Path(".cct/checkpoints")  # under the repository root
MAX_RUNS = 8  # number of runs whose checkpoints are kept
MAX_BYTES = 4 << 30  # limit for all checkpoints together
CONTENT = "content"
# Files beside the checkpoints: the identifier of the tracked run, and the digests of a finished run's outputs.
TRACKED, FINISHED = "tracked_run", "finished.json"


class Checkpoint(NamedTuple):
    """A checkpoint as `CheckpointStore.save` got it."""

    content: dict[str, Any]
    arrays: dict[str, list[np.ndarray]]


class CheckpointStore:
    """The checkpoints of one run. Within its context no other process uses them.

    Attributes:
        folder: their folder.
        latest: the latest undamaged checkpoint, or None.
        interval: seconds between two checkpoints within an epoch, from the environment variable CCT_CHECKPOINT_SECONDS.
        notes: JSON values that are saved with every checkpoint and restored with it.
        is_committed: see `__init__`.
    """

    def __init__(
        self, top: Path, digest: str, is_committed: Callable[[Sequence[str]], bool] = lambda digests: True
    ) -> None:
        """Set the folder of a run's checkpoints.

        Args:
            top: folder of all runs' checkpoints.
            digest: hexadecimal. It is equal for runs that must end in the same bits, and only for them.
            is_committed: whether files with these digests are safe. If so, the checkpoints of their run can be removed.

        Raises:
            CCTError: CCT_CHECKPOINT_SECONDS is not a number of seconds.
        """
        self.folder, self.is_committed = top / digest, is_committed
        # Lock files are never removed, because another process may wait for one. The short name limits their number.
        self.lock = FileLock(top / f"{digest[:4]}.lock")
        self.latest: Checkpoint | None = None
        self.notes: dict[str, Any] = {}
        self.interval = _interval()

    def __enter__(self) -> "CheckpointStore":
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(timeout=0)
        except Timeout:
            log.info("another process is training exactly this: waiting for its end")
            self.lock.acquire()
        except OSError as error:
            raise CCTError(
                f"cannot keep checkpoints in {self.folder.parent}: {error.strerror}: make it a folder that can be "
                "written, or remove what is in its place"
            ) from error
        self._clear_committed_runs()
        self._clear_old_runs()
        for path in reversed(self._files()):
            self.latest = _read_checkpoint(path)
            if self.latest is not None:
                self.notes = self.latest.content["notes"]
                break
            log.warning("the checkpoint %s is damaged and not used", path)
            path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.part"):  # left by a process that was killed while it wrote
            path.unlink(missing_ok=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self.lock.release()

    def save(self, content: Mapping[str, Any], arrays: Mapping[str, Sequence[np.ndarray]]) -> bool:
        """Write a checkpoint. The previous one stays until this one is on the disk. Returns whether it is.

        Args:
            content: JSON values. `epoch` and `step`, whole numbers, give the progress of the run.
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
            log.warning(
                "cannot write a checkpoint into %s: %s. Training continues; if it is interrupted now, it resumes from "
                "the checkpoint before.",
                self.folder,
                error.strerror,
            )
            return False
        log.debug("checkpoint %s, %.1f MB", self.folder / name, len(data) / 1e6)
        for path in self._files()[:-CHECKPOINTS_PER_RUN]:
            path.unlink(missing_ok=True)
        return True

    def tracked_run(self) -> str | None:
        """The identifier that `note_tracked_run` got, in this process or in an earlier one."""
        try:
            return (self.folder / TRACKED).read_text(encoding="utf-8")
        except OSError:
            return None

    def note_tracked_run(self, run_id: str) -> None:
        """Store the tracker's name for this run. Its thread may call this at any time, even after the context.

        The name is not part of a checkpoint: an interrupted training may write its last one before the tracker answers.
        """
        with contextlib.suppress(OSError):
            write_atomically(self.folder / TRACKED, run_id.encode())

    def clear(self) -> None:
        """Remove all checkpoints of this run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self, digests: Sequence[str]) -> None:
        """Mark this run as finished, and store the digests of the files that it wrote.

        Its last checkpoint stays, because storing the files may fail. The next run removes it if the files are
        committed by then.
        """
        with contextlib.suppress(OSError):
            write_atomically(self.folder / FINISHED, json.dumps(list(digests)).encode())
        for path in self._files()[:-1]:
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*-*-*.npz"))

    def _clear_committed_runs(self) -> None:
        """Remove finished runs whose files are committed, this run included. Active runs stay."""
        for note in self.folder.parent.glob(f"*/{FINISHED}"):
            with contextlib.suppress(OSError, ValueError):
                if self.is_committed(json.loads(note.read_bytes())):
                    self._remove(note.parent)

    def _clear_old_runs(self) -> None:
        """Remove the oldest runs, finished ones first, while there are too many or they are too large.

        Active runs stay.
        """
        folders = [folder for folder in self.folder.parent.iterdir() if folder.is_dir()]
        runs = sorted((not (folder / FINISHED).is_file(), _age(folder), folder) for folder in folders)
        sizes = {folder: _size(folder) for folder in folders}
        others = [(unfinished, folder) for unfinished, _, folder in runs if folder != self.folder]
        count, total = len(others), sum(sizes.values())
        for unfinished, folder in others:
            if count < MAX_RUNS and total <= MAX_BYTES:
                return
            if self._remove(folder):
                count, total = count - 1, total - sizes[folder]
                if unfinished:
                    log.warning(
                        "removed %s, the oldest checkpoints of an interrupted training, which cannot resume now: at "
                        "most %d trainings and %d GiB are kept",
                        folder,
                        MAX_RUNS,
                        MAX_BYTES >> 30,
                    )

    def _remove(self, folder: Path) -> bool:
        """Remove a run's folder, unless that run, or another run with the same lock, is active."""
        if folder == self.folder:  # this process holds its lock
            self.clear()
            return True
        with contextlib.suppress(Timeout), FileLock(folder.parent / f"{folder.name[:4]}.lock").acquire(timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
            return True
        return False


def abandoned_runs(top: Path) -> list[str]:
    """The tracked runs of killed trainings. They are not finished, and no process uses their checkpoints."""
    found = []
    for note in sorted(top.glob(f"*/{TRACKED}")):
        folder = note.parent
        with contextlib.suppress(Timeout, OSError), FileLock(top / f"{folder.name[:4]}.lock").acquire(timeout=0):
            if not (folder / FINISHED).is_file():
                found.append(note.read_text(encoding="utf-8"))
    return found


def run_digest(parts: Mapping[str, Any], files: Sequence[Path]) -> str:
    """The digest of everything that decides a run's result: 40 hexadecimal digits.

    Args:
        parts: JSON values.
        files: files whose names and contents count.

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
    """A checkpoint, or None if the file is damaged."""
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
    with contextlib.suppress(OSError):  # another process may finish the run just now
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
