"""Puts a new export in the place of an earlier one, once it is complete and right."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cct.errors import CCTError


@contextlib.contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A path for a new file or folder, which takes the place of `out` at the end of the block.

    The path has the name of `out`, because runtimes look at its suffix. It is in a temporary folder beside `out`. If
    the block fails, the new export is removed, and an earlier one stays. Messages of errors name `out`.

    Raises:
        OSError: the folder of `out` cannot be written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".cct-export-", dir=out.parent) as folder:
        new = Path(folder, out.name)
        try:
            yield new
        except CCTError as error:
            error.args = (str(error).replace(str(new), str(out)),)  # the user knows no other name
            raise
        if out.is_dir():
            # Beside the temporary folder, whose end would remove it where the second move fails.
            _replace_folder(out, new, earlier=Path(f"{folder}.earlier"))
        else:
            os.replace(new, out)


def _replace_folder(out: Path, new: Path, *, earlier: Path) -> None:
    """Replace a folder in two moves, because no call of the system replaces a folder that has files."""
    try:
        os.rename(out, earlier)
        os.rename(new, out)
    finally:
        if os.path.lexists(earlier):
            if os.path.lexists(out):
                _remove(earlier)
            else:
                os.rename(earlier, out)


def _remove(path: Path) -> None:
    """Remove a folder, or a link to one."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)
