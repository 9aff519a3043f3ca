"""Bring the file that `data.source` describes into `data/raw`."""

import shutil
import sys
from pathlib import Path

from cct import data, download, params
from cct.errors import command


@command
def main() -> None:
    descriptor = Path(params.load(Path("params.yaml"), "data").source)
    source = data.read_source(descriptor)
    cached = download.fetch(source, base=descriptor.parent)
    folder = Path("data/raw")
    shutil.rmtree(folder, ignore_errors=True)  # DVC keeps what is persistent, and so what another source left
    folder.mkdir(parents=True)
    shutil.copyfile(cached, folder / source.file)


if __name__ == "__main__":
    sys.exit(main())
