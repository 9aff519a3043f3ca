"""Checks a stage's dependencies: earlier stages wrote them, and they do not change while the stage runs.

DVC computes the digests of a stage's dependencies when the stage has ended. If a file was edited meanwhile, `dvc.lock`
would name the edited file beside a result of the old file. DVC also trusts its cache: it checks out a damaged file, and
counts it as up to date.
"""

import logging
import re
from pathlib import Path

from cct.errors import CCTError
from cct.lockfile import dvc_digest, files_in, locked_stages, output_digests, require_as_locked
from cct.params import flatten, read_yaml
from cct.paths import PARAMS
from cct.pipeline import read_stages, stages_before

log = logging.getLogger(__name__)

Stat = list[tuple[str, int, int, int]]  # of each file: path, size, time of the last change in nanoseconds, inode


class Dependencies:
    """The files and parameters that a stage depends on, as they are when this object is made."""

    def __init__(self, stage: str) -> None:
        self.stage, entry, self.params = stage, read_stages()[stage], read_yaml(PARAMS)
        values = flatten(self.params)
        # DVC puts values of params.yaml into paths: ${data.source}.
        names = {dep: re.sub(r"\$\{([\w.]+)\}", lambda name: str(values[name[1]]), dep) for dep in entry["deps"]}
        self.paths = [path for path in map(Path, names.values()) if path.exists()]
        self.sections = entry.get("params", [])
        self.stats = {path: _stat(path) for path in self.paths}
        # The user's own data may be large, and no stage wrote them: for these, sizes and times are enough.
        own = {Path(name) for dep, name in names.items() if dep != name}
        self.digests = {path: dvc_digest(path) for path in self.paths if path not in own}
        log.debug("%s depends on %d files and folders, and on %s", stage, len(self.paths), ", ".join(self.sections))

    def require_made_by_stages(self) -> None:
        """Compare the outputs and the parameters of earlier stages with `dvc.lock`.

        Raises:
            CCTError: a file differs from the stage's output, or was made with other parameters than the present ones.
        """
        locked = locked_stages()
        require_as_locked(self.digests, output_digests(locked))
        for stage in stages_before(self.stage):
            had = locked.get(stage, {}).get("params", {}).get(str(PARAMS), {})
            differ = [section for section, values in had.items() if self.params.get(section) != values]
            if differ:
                raise CCTError(
                    f"{stage} ran with other values of {', '.join(differ)} than {PARAMS} has now: run dvc repro, which "
                    f"runs it before {self.stage}"
                )

    def require_unchanged(self) -> None:
        """Compare files and parameters with those that were there when this object was made.

        Raises:
            CCTError: a file or a parameter has changed since.
        """
        # A file with the same size, time and inode was not written to, so large data are not read again.
        changed = [
            str(path)
            for path in self.paths
            if (stat := _stat(path)) != self.stats[path]
            and (not stat or path not in self.digests or dvc_digest(path) != self.digests[path])
        ]
        changed += [f"{PARAMS} ({', '.join(self.sections)})"] if self._params_changed() else []
        if changed:
            raise CCTError(
                f"{', '.join(changed)} changed while {self.stage} ran, so what it made is not recorded. Run dvc repro "
                "again; or undo the change first, and a training resumes from its last checkpoint"
            )

    def _params_changed(self) -> bool:
        """Whether a section that the stage depends on has other values now, or cannot be read."""
        try:
            present = read_yaml(PARAMS)
        except CCTError:
            return True
        return any(present.get(section) != self.params.get(section) for section in self.sections)


def _stat(path: Path) -> Stat:
    """The `Stat` of a file, or of all files in a folder; empty if it is gone."""
    files = sorted(files_in(path)) if path.is_dir() else [path] if path.is_file() else []
    stats = [(str(file), file.stat()) for file in files]
    return [(name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats]
