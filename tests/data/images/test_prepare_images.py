"""From a source of images to arrays: sizes, splits, bad images, duplicates, and what an interruption leaves."""

import csv
import itertools
import json
import os
import time

import numpy as np
import pytest
from filelock import FileLock
from image_files import encoded, prepare, smooth, two_classes, write_files, write_tar, write_zip
from sources import preprocess_params

from cct.data.arrays import DataError
from cct.data.images import decoded, pool
from cct.data.images.decoding import ImageError
from cct.data.images.source import list_images, prepare_images
from cct.data.prepare import write_processed
from cct.data.store import read_split
from cct.tasks.image_classification.preparation import describe


def prepare_source(path, folder, **changes):
    preprocess = preprocess_params(**changes)
    files = list_images(path, preprocess.class_folder)
    return prepare(files, preprocess, name="photos", folder=folder / "decoded", made_by=["code"])


def process(path, folder, **changes):
    """meta.json, and the arrays by split."""
    prepared = prepare_source(path, folder, **changes)
    meta = write_processed(folder / "processed", prepared, task="image_classification", describe=describe)
    return meta, {split: read_split(folder / "processed", split) for split in ("train", "val", "test")}


def test_the_arrays_are_the_images(tmp_path):
    """Of each class of ten: two test, one of the other eight validates; `files.csv` names the file of each row."""
    files = two_classes(10)
    meta, arrays = process(write_files(tmp_path / "photos", files), tmp_path)
    assert meta["classes"] == ["cats", "dogs"] and meta["image_shape"] == [24, 32, 3]
    assert meta["examples_per_class"] == {"train": [7, 7], "val": [1, 1], "test": [2, 2]}
    with (tmp_path / "processed/files.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert sorted(row["file"] for row in rows) == sorted(files)
    for row in rows:
        images, labels = arrays[row["split"]]
        index, label = int(row["index"]), row["file"].split("/")[0]
        number = int(row["file"].split("/")[1][:2]) + 100 * (label == "dogs")
        np.testing.assert_array_equal(images[index], smooth(number))
        assert meta["classes"][labels[index]] == row["label"] == label
    assert meta["bad_images"] == [] and meta["ignored"] == {}
    assert meta["duplicates"] == {
        "exact": 0,
        "near": 0,
        "groups_in_several_splits": 0,
        "groups_in_several_classes": 0,
        "examples": [],
    }


@pytest.mark.parametrize("split", [False, True])
def test_a_folder_and_its_archives_give_the_same_bytes(split, tmp_path):
    files = two_classes(10)
    if split:
        names = itertools.cycle(["train", "Test", "train", "valid"])
        files = {f"{next(names)}/{name}": content for name, content in files.items()}
    shuffled = dict(sorted(files.items(), key=lambda item: item[1][-20:]))
    sources = {
        "folder": write_files(tmp_path / "photos", files),
        "zip": write_zip(tmp_path / "a.zip", {f"photos/{name}": content for name, content in shuffled.items()}),
        "tar": write_tar(tmp_path / "a.tar", shuffled),
        "txz": write_tar(tmp_path / "a.txz", files, "w:xz"),
    }
    digests = {}
    for kind, path in sources.items():
        (tmp_path / kind).mkdir()
        digests[kind] = process(path, tmp_path / kind)[0]["digest"]
    assert len(set(digests.values())) == 1


def test_a_manifest_gives_its_order_labels_splits_and_groups(tmp_path):
    files = two_classes(6)
    names = sorted(files, key=lambda name: name[::-1])
    rows = [f"{name},{'AB'[n % 2]},{['train', 'test', 'val'][n % 3]},\n" for n, name in enumerate(names)]
    write_files(tmp_path / "photos", files | {"manifest.csv": ("path,label,split,group\n" + "".join(rows)).encode()})
    for path in (tmp_path / "photos", tmp_path / "photos/manifest.csv"):
        prepared = prepare_source(path, tmp_path)
        assert prepared.classes == ["A", "B"]
        assert prepared.files == {
            split: [name for n, name in enumerate(names) if n % 3 == place]
            for split, place in (("train", 0), ("test", 1), ("val", 2))
        }


def test_groups_of_a_manifest_stay_together(tmp_path):
    write_files(tmp_path, two_classes(20))
    rows = [f"{name},{name.split('/')[0]},{int(name[-6:-4]) // 2}\n" for name in two_classes(20)]
    (tmp_path / "labels.csv").write_text("path,label,group\n" + "".join(rows))
    prepared = prepare_source(tmp_path / "labels.csv", tmp_path)
    groups = [{int(name[-6:-4]) // 2 for name in names} for names in prepared.files.values()]
    assert all(not a & b for a, b in itertools.combinations(groups, 2))
    assert {split: len(names) for split, names in prepared.files.items()} == {"train": 28, "val": 4, "test": 8}


@pytest.mark.parametrize(
    ("sizes", "changes", "shape"),
    [
        ([(24, 32)] * 2, {}, (24, 32, 3)),
        ([(24, 32), (32, 24)], {}, (64, 64, 3)),
        ([(600, 600)] * 2, {}, (64, 64, 3)),
        ([(6, 6)] * 2, {}, (64, 64, 3)),
        ([(24, 32), (32, 24)], {"image_size": 20}, (20, 20, 3)),
        ([(24, 32)] * 2, {"image_size": [40, 16]}, (40, 16, 3)),
        ([(24, 32)] * 2, {"channels": "grey"}, (24, 32, 1)),
    ],
)
def test_the_size_is_the_images_own_or_the_one_of_the_parameters(sizes, changes, shape, tmp_path):
    """The one that differs is the last."""
    for label, name in enumerate(("cats", "dogs")):
        for number in range(10):
            height, width = sizes[number == 9 and label]
            write_files(
                tmp_path / "photos",
                {f"{name}/{number}.png": encoded(smooth(50 * label + number, height=height, width=width))},
            )
    meta, _ = process(tmp_path / "photos", tmp_path, **changes)
    assert tuple(meta["image_shape"]) == shape


def test_grey_images_in_files_of_colours_are_grey(tmp_path):
    files = {
        f"{name}/{number}.png": encoded(np.repeat(smooth(50 * label + number, channels=1), 3, axis=-1))
        for label, name in enumerate("ab")
        for number in range(10)
    }
    assert process(write_files(tmp_path / "photos", files), tmp_path)[0]["image_shape"] == [24, 32, 1]


def test_a_split_without_a_good_image_is_refused(tmp_path):
    files = {f"train/{name}": content for name, content in two_classes(10).items()}
    files |= {"test/cats/1.png": b"", "test/dogs/1.png": b""}
    with pytest.raises(DataError, match=r"photos: all images of its split test are bad: mend them, or remove"):
        prepare_source(write_files(tmp_path / "photos", files), tmp_path, on_bad_image="skip")


def test_images_that_a_manifest_in_their_folder_does_not_name_are_counted(tmp_path):
    files = two_classes(10)
    named = "".join(f"{name},{name.split('/')[0]}\n" for name in list(files)[:16])
    write_files(tmp_path / "photos", files | {"manifest.csv": f"path,label\n{named}".encode()})
    prepared = prepare_source(tmp_path / "photos", tmp_path)
    assert prepared.facts["ignored"] == {"images that manifest.csv does not name": 4}


@pytest.mark.parametrize(
    ("channels", "colours", "expected"), [("auto", 0, 1), ("auto", 1, 3), ("rgb", 0, 3), ("grey", 1, 1)]
)
def test_channels(channels, colours, expected, tmp_path):
    """Grey images, of which `colours` have colours."""
    files = {
        f"{name}/{number}.png": encoded(smooth(50 * label + number, channels=1))
        for label, name in enumerate("ab")
        for number in range(10)
    }
    files |= {"b/9.png": encoded(smooth(99))} if colours else {}
    meta, arrays = process(write_files(tmp_path / "photos", files), tmp_path, channels=channels)
    assert meta["image_shape"] == [24, 32, expected]
    if not colours:
        np.testing.assert_array_equal(arrays["test"][0][..., 0], arrays["test"][0][..., -1])


def test_bad_images_are_skipped_and_noted(tmp_path, caplog):
    bad = {"cats/empty.jpg": b"", "dogs/text.gif": b"hello"}
    write_files(tmp_path / "photos", two_classes(10) | bad)
    write_files(tmp_path / "good", two_classes(10))
    meta, _ = process(tmp_path / "photos", tmp_path, on_bad_image="skip")
    reason = "not an image (JPEG, PNG, WEBP, BMP, GIF, TIFF)"
    assert meta["bad_images"] == [
        {"file": "cats/empty.jpg", "reason": "empty"},
        {"file": "dogs/text.gif", "reason": reason},
    ]
    assert "skipped 2 of 22 images, which meta.json lists: cats/empty.jpg: empty; dogs/text.gif: not an" in caplog.text
    expected, _ = process(tmp_path / "good", tmp_path)
    assert meta["digest"] == expected["digest"] and json.loads(json.dumps(meta)) == meta


def test_duplicates_stay_in_one_split(tmp_path, caplog):
    """Twenty images of each class, half of them twice: as a PNG and as a BMP."""
    files = two_classes(20)
    copies = {
        name.replace(".png", "-copy.bmp"): encoded(smooth(100 * ("dogs" in name) + int(name[-6:-4])), "BMP")
        for name in files
        if int(name[-6:-4]) % 2
    }
    for seed in range(5):
        prepared = prepare_source(write_files(tmp_path / "photos", files | copies), tmp_path, seed=seed)
        pairs = [{name.replace("-copy.bmp", ".png") for name in names} for names in prepared.files.values()]
        assert all(not a & b for a, b in itertools.combinations(pairs, 2))
        assert prepared.facts["duplicates"]["exact"] == 20
    assert "more than one" not in caplog.text


def test_a_folder_around_the_classes_is_said(tmp_path, caplog):
    """The owner may mean one class with a folder for each year."""
    caplog.set_level("INFO")
    files = two_classes(10)
    prepare_source(write_files(tmp_path / "plain", files), tmp_path)
    assert "so it is no class" not in caplog.text
    prepare_source(write_files(tmp_path / "photos", {f"apples/{name}": files[name] for name in files}), tmp_path)
    assert "all images are in the folder apples, so it is no class: the classes are cats, dogs" in caplog.text


def test_leaks_and_conflicts_of_the_source_are_said(tmp_path, caplog):
    files = {f"{split}/{name}": content for split in ("train", "test") for name, content in two_classes(6).items()}
    for number, name in enumerate(list(files)):
        if name.startswith("test") and not name.endswith(("cats/00.png", "cats/01.png")):
            files[name] = encoded(smooth(1000 + number))
    files["train/dogs/like a cat.png"] = files["train/cats/05.png"]
    prepared = prepare_source(write_files(tmp_path / "photos", files), tmp_path)
    found = prepared.facts["duplicates"]
    assert (found["groups_in_several_splits"], found["groups_in_several_classes"]) == (2, 1)
    assert ["test/cats/00.png", "train/cats/00.png"] in map(sorted, found["examples"])
    assert "so that scores on them are too high: 2 (test/cats/00.png, train/cats/00.png)" in caplog.text
    assert "groups of equal or nearly equal images in more than one class: 1 (" in caplog.text
    assert len(prepared.files["test"]) == 12  # the source's split stays


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("damage", [None, "cut", "zeros", "more"])
@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_an_interrupted_call_resumes(kind, damage, tmp_path, monkeypatch, caplog):
    """After 3 of 10 chunks, whose files a power cut may have damaged."""
    files = two_classes(10)
    path = write_files(tmp_path / "photos", files) if kind == "folder" else write_tar(tmp_path / "a.tar", files)
    monkeypatch.setattr(pool, "MAX_CHUNK", 2)
    expected = process(path, tmp_path / "whole")[0]["digest"]
    decode_files, done = decoded.decode_files, []

    def interrupted(files, options, *, count):
        for chunk in itertools.islice(decode_files(files, options, count=count), 3):
            done.append(len(chunk.facts_n))
            yield chunk
        raise Interrupted

    monkeypatch.setattr(decoded, "decode_files", interrupted)
    with pytest.raises(Interrupted):
        prepare_source(path, tmp_path)
    (pixels,) = tmp_path.glob(f"decoded/*/{decoded.PIXELS}")
    whole = pixels.read_bytes()
    assert len(whole) == 24 * 32 * 3 * sum(done)
    damaged = {None: whole, "cut": whole[:-1000], "zeros": whole[:-1000] + bytes(1000), "more": whole + bytes(9)}
    pixels.write_bytes(damaged[damage])
    monkeypatch.setattr(decoded, "decode_files", decode_files)
    caplog.set_level("INFO")
    assert process(path, tmp_path)[0]["digest"] == expected
    assert f"resuming after {sum(done) - (damage in ('cut', 'zeros'))} of 20 images" in caplog.text


def test_an_interrupted_call_resumes_where_the_images_have_several_sizes(tmp_path, monkeypatch, caplog):
    """Their common size is known by then."""
    files = two_classes(10) | {"dogs/large.png": encoded(smooth(77, height=40, width=40))}
    path = write_files(tmp_path / "photos", files)
    monkeypatch.setattr(pool, "MAX_CHUNK", 2)
    decode_files = decoded.decode_files

    def interrupted(files, options, *, count):
        for number, chunk in enumerate(decode_files(files, options, count=count)):
            if options.height == 64 and number == 3:
                raise Interrupted
            yield chunk

    monkeypatch.setattr(decoded, "decode_files", interrupted)
    with pytest.raises(Interrupted):
        prepare_source(path, tmp_path)
    monkeypatch.setattr(decoded, "decode_files", decode_files)
    caplog.set_level("INFO")
    assert process(path, tmp_path)[0]["image_shape"] == [64, 64, 3]
    assert "resuming after 6 of 21 images" in caplog.text


@pytest.mark.parametrize("sizes", ["one", "several"])
def test_images_of_another_size_resume_nothing(sizes, tmp_path):
    """An interrupted call with a size of its own leaves images that no later call takes for its own."""
    files = two_classes(10) | {"cats/bad.png": b""}
    if sizes == "several":
        files |= {"dogs/large.png": encoded(smooth(77, height=40, width=40))}
    path = write_files(tmp_path / "photos", files)
    expected = process(path, tmp_path / "whole", on_bad_image="skip")[0]["digest"]
    for size in ([24, 32], [64, 64]):
        with pytest.raises(DataError, match="empty"):
            prepare_source(path, tmp_path, image_size=size)
    assert process(path, tmp_path, on_bad_image="skip")[0]["digest"] == expected


def test_a_file_that_could_not_be_read_is_read_again(tmp_path, monkeypatch):
    """The file is the same: the disk or the memory was at fault."""
    path = write_files(tmp_path / "photos", two_classes(10))
    expected = process(path, tmp_path / "whole")[0]["digest"]
    decode_image = pool.decode_image

    def failing(content, options):
        if options and getattr(content, "name", "") in ("03.png", "07.png"):
            raise ImageError("cannot be read: Input/output error")
        return decode_image(content, options)

    monkeypatch.setattr(pool, "decode_image", failing)
    with pytest.raises(DataError, match="Input/output error"):
        prepare_source(path, tmp_path)
    monkeypatch.setattr(pool, "decode_image", decode_image)
    assert process(path, tmp_path)[0]["digest"] == expected


def test_two_sources_at_once_do_not_disturb_each_other(tmp_path):
    """They share the folder, as experiments of one repository do."""
    one, other = (write_files(tmp_path / name, two_classes(10)) for name in ("one", "other"))
    options = {"name": "n", "folder": tmp_path / "decoded", "made_by": []}
    with prepare_images(list_images(one), preprocess_params(), **options) as first:
        with prepare_images(list_images(other), preprocess_params(image_size=9), **options) as second:
            assert second.splits["test"].inputs.shape[1:] == (9, 9, 3)
        assert list(tmp_path.glob("decoded/*/pixels.bin"))
        assert first.splits["test"].inputs.shape[1:] == (24, 32, 3)
    assert not list(tmp_path.glob("decoded/*/"))


def test_what_nothing_resumes_is_removed_after_a_week(tmp_path):
    path = write_files(tmp_path / "photos", two_classes(10))
    folder, abandoned = tmp_path / "decoded", time.time() - decoded.ABANDONED - 100
    for name in ("old", "held", "grows", "new"):
        write_files(folder, {f"{name}/facts.bin": b"", f"{name}/pixels.bin": b"", f"{name}.lock": b""})
    write_files(folder, {"alone.lock": b"", "bare/pixels.bin": b""})
    for found in folder.rglob("*"):
        if "new" not in str(found) and found.parts[-2:] != ("grows", "pixels.bin"):
            os.utime(found, (abandoned,) * 2)
    with FileLock(folder / "held.lock"):
        prepare_source(path, tmp_path)
    kept = {"held", "held.lock", "grows", "grows.lock", "new", "new.lock"}
    assert {found.name for found in folder.iterdir()} == kept


def test_a_finished_call_leaves_no_file(tmp_path):
    prepare_source(write_files(tmp_path / "photos", two_classes(10)), tmp_path)
    files = two_classes(10) | {"dogs/large.png": encoded(smooth(77, height=40, width=40))}
    prepare_source(write_files(tmp_path / "mixed", files), tmp_path)
    assert not list((tmp_path / "decoded").iterdir())


def test_what_was_decoded_of_other_files_is_not_used(tmp_path):
    path = write_files(tmp_path / "photos", two_classes(10))
    first = process(path, tmp_path)[0]["digest"]
    write_files(path, {"cats/00.png": encoded(smooth(5000))})
    second = process(path, tmp_path)[0]["digest"]
    assert first != second
    assert process(path, tmp_path, resize="pad", image_size=9)[0]["image_shape"] == [9, 9, 3]


def test_many_cores_give_the_same_bytes(tmp_path, monkeypatch):
    """More files than one process decodes, some of them bad, in chunks that do not divide them."""
    files = two_classes(110) | {"cats/bad.png": b""}
    path = write_files(tmp_path / "photos", files)
    digests = []
    for cores in (1, 3):
        monkeypatch.setattr(pool, "cpu_cores", lambda cores=cores: cores)
        meta, _ = process(path, tmp_path / str(cores), on_bad_image="skip")
        digests.append(meta["digest"])
    assert digests[0] == digests[1] and meta["bad_images"] == [{"file": "cats/bad.png", "reason": "empty"}]


def test_classes_of_a_descriptor_keep_their_order(tmp_path):
    path = write_zip(tmp_path / "a.zip", two_classes(10))
    files, preprocess = list_images(path), preprocess_params()
    options = {"name": "n", "folder": tmp_path / "decoded", "made_by": []}
    prepared = prepare(files, preprocess, classes=["dogs", "cats"], **options)
    assert prepared.classes == ["dogs", "cats"]
    assert {
        name.split("/")[0]
        for name, label in zip(prepared.files["test"], prepared.splits["test"].label_n, strict=True)
        if label == 0
    } == {"dogs"}
    with pytest.raises(DataError, match=r"a\.zip: classes that the descriptor does not name: dogs$"):
        prepare(files, preprocess, classes=["cats", "birds"], **options)
    with pytest.raises(DataError, match=r"a\.zip: no training example of birds: add some, or remove the class$"):
        prepare(files, preprocess, classes=["cats", "birds", "dogs"], **options)
