"""Turn the file in `data/raw` into arrays in `data/processed`."""

import shutil
import sys
from pathlib import Path

from cct import data, params
from cct.errors import command


@command
def main() -> None:
    chosen, preprocess = params.load(Path("params.yaml"), "data", "preprocess")
    source = data.read_source(Path(chosen.source))
    arrays = data.read_arrays(source, Path("data/raw") / source.file)
    shutil.rmtree("data/processed", ignore_errors=True)  # DVC keeps it, and so what a killed run left
    meta = data.write_processed(Path("data/processed"), source, arrays, preprocess)
    counts = ", ".join(f"{count:,} {split}" for split, count in meta["images"].items())
    print(f"{source.name}: {counts}; {'x'.join(map(str, meta['image_shape']))}, {len(source.classes)} classes")


if __name__ == "__main__":
    sys.exit(main())
