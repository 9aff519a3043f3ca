"""Bring the file that `data.source` describes into `data/raw`."""

import shutil
import sys
from pathlib import Path

from cct import params
from cct.data.download import fetch_source
from cct.data.sources import read_source
from cct.errors import command


@command
def main() -> None:
    descriptor = Path(params.load(Path("params.yaml"), "data").source)
    source = read_source(descriptor)
    cached = fetch_source(source, base=descriptor.parent)
    folder = Path("data/raw")
    shutil.rmtree(folder, ignore_errors=True)  # DVC keeps what is persistent, and so what another source left
    folder.mkdir(parents=True)
    shutil.copyfile(cached, folder / source.file)


if __name__ == "__main__":
    sys.exit(main())
