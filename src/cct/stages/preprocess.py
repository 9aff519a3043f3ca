"""Turn the file in `data/raw` into arrays in `data/processed`."""

import shutil
import sys
from pathlib import Path

from cct import params
from cct.data.formats.registry import read_arrays
from cct.data.sources import read_source
from cct.data.store import write_processed
from cct.errors import command


@command
def main() -> None:
    chosen, preprocess = params.load(Path("params.yaml"), "data", "preprocess")
    source = read_source(Path(chosen.source))
    arrays = read_arrays(source, Path("data/raw") / source.file)
    shutil.rmtree("data/processed", ignore_errors=True)  # DVC keeps it, and so what a killed run left
    meta = write_processed(Path("data/processed"), source, arrays, preprocess)
    counts = ", ".join(f"{count:,} {split}" for split, count in meta["images"].items())
    print(f"{source.name}: {counts}; {'x'.join(map(str, meta['image_shape']))}, {len(source.classes)} classes")


if __name__ == "__main__":
    sys.exit(main())
