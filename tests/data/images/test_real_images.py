"""Real images: the stamps of Tux Paint, and CIFAR-10 as JPEG files."""

import io
import lzma
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from clones import ROOT
from image_files import prepare, write_files
from PIL import Image
from sources import preprocess_params

from cct.data.formats.cifar import read_cifar10
from cct.data.images.source import list_images

STAMPS = Path("/usr/share/tuxpaint/stamps")
CIFAR = ROOT.parent / "shared/cifar10"
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture(scope="module")
def stamps(tmp_path_factory):
    if not STAMPS.is_dir():
        pytest.skip("Debian's package tuxpaint-stamps-default is not installed")
    files = list_images(STAMPS, "top")
    folder = tmp_path_factory.mktemp("stamps") / "decoded"
    return files, prepare(files, preprocess_params(image_size=48), name="stamps", folder=folder, made_by=[])


def test_no_stamp_is_lost(stamps):
    """Counted by the endings of the files: images in nested folders, among sounds, texts and drawings."""
    (_, listing), prepared = stamps
    paths = [path for path in STAMPS.rglob("*") if path.is_file()]
    endings = Counter(path.suffix.lower() for path in paths)
    pngs = [path.relative_to(STAMPS) for path in paths if path.suffix.lower() == ".png"]
    assert endings[".png"] == len(pngs) > 700 and len(paths) > 9000
    assert sorted(name for names in prepared.files.values() for name in names) == sorted(map(str, pngs))
    assert prepared.facts["bad_images"] == []
    per_class = Counter(path.parts[0] for path in pngs)
    assert listing.classes == sorted(per_class)
    labels = np.concatenate([split.label_n for split in prepared.splits.values()])
    assert np.bincount(labels).tolist() == [per_class[name] for name in listing.classes]
    assert sum(listing.ignored.values()) == len(paths) - len(pngs)
    assert listing.ignored[".ogg files"] == endings[".ogg"]
    assert listing.ignored["images of a format that is not read (.svg)"] == endings[".svg"]
    assert listing.ignored["text files"] == endings[".txt"]


def test_every_kind_of_stamp_is_decoded_as_pillow_draws_it(stamps):
    """On white, by the shortest way that Pillow has: RGBA, grey with alpha, palettes and others."""
    _, prepared = stamps
    modes = Counter()
    for split, names in prepared.files.items():
        examples = prepared.splits[split]
        for name, row in zip(names, examples.row_n, strict=True):
            image = Image.open(STAMPS / name)
            modes[image.mode] += 1
            if modes[image.mode] > 12:
                continue
            white = Image.new("RGBA", image.size, "white")
            white.alpha_composite(image.convert("RGBA"))
            drawn = white.convert("RGB")
            side = min(drawn.size)
            left, top = (drawn.width - side) / 2, (drawn.height - side) / 2
            expected = drawn.resize((48, 48), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
            np.testing.assert_array_equal(examples.inputs[row], np.asarray(expected), err_msg=name)
    assert len(modes) >= 3


@pytest.mark.skipif(not CIFAR.is_dir(), reason="the JPEG copy of CIFAR-10 is not there")
def test_a_folder_of_jpegs_gives_the_arrays_of_the_archive_made_of_them(tmp_path):
    """The first 3,000 and 500 images; the archive's own script decodes them. Class by class the order is the same."""
    keep = {"train": 3000, "test": 500}
    script = [sys.executable, str(CIFAR / "make_archive.py"), str(tmp_path / "a.tar.gz")]
    subprocess.run([*script, *(f"--{split}={count}" for split, count in keep.items())], check=True, capture_output=True)
    arrays = read_cifar10({"archive": tmp_path / "a.tar.gz"}, 10)
    files = {}
    with lzma.open(CIFAR / "cifar10-jpeg.tar.xz") as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
        for member in archive:
            split, name = member.name.split("/")
            index, label = map(int, name.removesuffix(".jpg").split("_"))
            if index < keep[split]:
                files[f"{split}/{CLASSES[label]}/{index:05}.jpg"] = archive.extractfile(member).read()
    folder = write_files(tmp_path / "photos", files)
    assert Image.open(io.BytesIO(next(iter(files.values())))).size == (32, 32)
    prepared = prepare(list_images(folder), preprocess_params(), name="a", folder=tmp_path / "d", made_by=[])
    test = prepared.splits["test"]
    order = np.argsort(arrays.test_labels, kind="stable")
    np.testing.assert_array_equal(test.inputs[test.row_n], arrays.test_inputs[order])
    training = [prepared.splits[split] for split in ("train", "val")]
    names = [name for split in ("train", "val") for name in prepared.files[split]]
    images = np.concatenate([split.inputs[split.row_n] for split in training])
    labels = np.concatenate([split.label_n for split in training])
    indices = [int(Path(name).stem) for name in names]
    np.testing.assert_array_equal(images, arrays.train_inputs[indices])
    np.testing.assert_array_equal(labels, arrays.train_labels[indices])
