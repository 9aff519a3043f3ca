"""Image files, and folders and archives of them, for the tests."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cct.data.images.source import ImageFiles, prepare_images
from cct.data.params import PreprocessParams
from cct.data.prepare import Prepared


def smooth(seed: int = 0, *, height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    """An image (height, width, channels) of soft spots, which compression changes little; each seed another one."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 5, channels), dtype=np.uint8)
    bands = [Image.fromarray(small[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(channels)]
    return np.stack([np.asarray(band) for band in bands], axis=-1)


def encoded(image: np.ndarray | Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """An image file."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_zip(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def two_classes(count: int = 10, **size: int) -> dict[str, bytes]:
    """Files of two classes with so many different images in each."""
    return {
        f"{name}/{number:02}.png": encoded(smooth(100 * label + number, **size))
        for label, name in enumerate(("cats", "dogs"))
        for number in range(count)
    }


def prepare(files: ImageFiles, preprocess: PreprocessParams, **options: Any) -> Prepared:
    """What `prepare_images` makes. Its arrays stay readable: their file is removed, but open."""
    with prepare_images(files, preprocess, **options) as prepared:
        return prepared
