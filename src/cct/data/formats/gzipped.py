"""Gzipped files with a limit on the unpacked size: a few megabytes can unpack to terabytes."""

import gzip
from pathlib import Path

from cct.data.arrays import DataError

ALWAYS_ALLOWED, LARGEST_RATIO = 512 << 20, 20  # bytes; unpacked bytes for each packed byte, which images do not reach


def require_readable(path: Path, error: Exception) -> None:
    """Refuse a file that the operating system cannot read, for example without permission. Damage is another error.

    Raises:
        DataError: `error` has an error number of the operating system; gzip's own errors have none.
    """
    if isinstance(error, OSError) and error.errno:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


class BoundedGzipFile(gzip.GzipFile):
    """Reads a gzipped file, and raises DataError if it unpacks to more than its limit.

    Attributes:
        limit: the largest unpacked size in bytes.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self.path, self.limit, self.unpacked = path, max(ALWAYS_ALLOWED, LARGEST_RATIO * path.stat().st_size), 0

    def read(self, size: int | None = -1) -> bytes:
        whole = size is None or size < 0
        return self._counted(super().read(self.limit - self.unpacked + 1 if whole else size))

    def read1(self, size: int = -1) -> bytes:
        return self._counted(super().read1(size))

    def _counted(self, chunk: bytes) -> bytes:
        self.unpacked += len(chunk)
        if self.unpacked > self.limit:
            raise DataError(
                f"{self.path}: unpacks to more than {self.limit:,} bytes, the larger of {ALWAYS_ALLOWED >> 20} MiB and "
                f"{LARGEST_RATIO} times its size: the file is damaged"
            )
        return chunk
