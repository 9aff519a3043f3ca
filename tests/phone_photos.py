"""A folder of photos as a phone has it: mixed sizes, rotated by EXIF, screenshots, rubbish, and a few broken files."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("apples", "Äpfel & Birnen", "猫")
ORIENTATION = 0x0112
BAD = {"apples/IMG_9001.jpg": b"", "猫/IMG_9002.jpg": b"\xff\xd8\xff\xe0 cut off"}
RUBBISH = {
    ".thumbnails/1.jpg": b"x", "apples/.DS_Store": b"x", "Thumbs.db": b"x", "猫/notes.txt": b"x", "猫/IMG_1.HEIC": b"x"
}  # fmt: skip


def write_photos(folder: Path, *, count: int = 20, broken: bool = True) -> int:
    """Write `count` photos of each class, whose colour is the class's, and the other files. Returns the good photos.

    Without `broken`, those of `BAD` are left out.
    """
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            width, height = rng.integers(70, 160, 2)
            colours = rng.integers(0, 120, (6, 6, 3), dtype=np.uint8)
            colours[..., label] += 120
            image = Image.fromarray(colours).resize((int(width), int(height)), Image.Resampling.BICUBIC)
            exif = Image.Exif()
            exif[ORIENTATION] = (1, 6, 3, 8)[number % 4]
            path = folder / name / f"IMG_{number:04}"
            if number % 5 == 4:
                image.convert("RGBA").save(path.with_suffix(".PNG"), exif=exif)
            else:
                image.save(path.with_suffix(".jpg"), quality=90, exif=exif)
    for name, content in ((BAD if broken else {}) | RUBBISH).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return count * len(CLASSES)
