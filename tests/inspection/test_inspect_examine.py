"""Every kind of source is read: folders, archives, tables, arrays, with nothing left on disk."""

import hashlib
import shutil

import numpy as np
import pytest
from inspected import DIGITS, inspected, make_folder, noise, parameters, problems

from cct.data.arrays import DataError
from cct.inspection.examine import SIDE, examine, thumbnails

COUNTS = {"cat": 6, "dog": 8}


def descriptor(path, archive, form, classes, role="archive"):
    """Write a descriptor of one file."""
    content = archive.read_bytes()
    path.write_text(
        f"name: mine\nformat: {form}\nclasses: [{', '.join(classes)}]\nfiles:\n  {role}:\n    file: {archive.name}\n"
        f"    size: {len(content)}\n    sha256: {hashlib.sha256(content).hexdigest()}\n    urls: [{archive}]\n"
    )
    return path


def zipped(tmp_path):
    return shutil.make_archive(str(tmp_path / "archive"), "zip", make_folder(tmp_path / "data", COUNTS))


def tarred(tmp_path):
    return shutil.make_archive(str(tmp_path / "archive"), "gztar", make_folder(tmp_path / "data", COUNTS))


def manifest(tmp_path):
    folder = make_folder(tmp_path / "data", COUNTS)
    rows = [f"{path.relative_to(folder)},{path.parent.name}" for path in sorted(folder.glob("*/*"))]
    (folder / "table.csv").write_text("\n".join(["path,label", *rows]))
    return folder / "table.csv"


def images_descriptor(tmp_path):
    archive = tmp_path / "archive.zip"
    zipped(tmp_path)
    return descriptor(tmp_path / "mine.yaml", archive, "images", COUNTS)


@pytest.mark.parametrize("make", [zipped, tarred, manifest, images_descriptor], ids=lambda make: make.__name__)
def test_a_source_of_any_kind_gives_the_same_facts(make, tmp_path, monkeypatch):
    monkeypatch.setenv("CCT_CACHE", str(tmp_path / "cache"))
    path = type(tmp_path)(make(tmp_path))
    of_folder = inspected(tmp_path / "data" if make is not manifest else path, tmp_path).facts
    facts = inspected(path, tmp_path).facts
    own = ("source", "name", "suggestion")
    assert {key: value for key, value in facts.items() if key not in own} == {
        key: value for key, value in of_folder.items() if key not in own
    }
    assert facts["images"] == 14 and facts["ready"]
    assert [(row["name"], row["images"]) for row in facts["classes"]] == [("cat", 6), ("dog", 8)]
    assert all(row["train"] + row["val"] + row["test"] == row["images"] for row in facts["classes"])


def test_arrays_of_a_descriptor_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("CCT_CACHE", str(tmp_path / "cache"))
    path = descriptor(tmp_path / "digits.yaml", DIGITS, "digits-csv", map("'{}'".format, range(10)), role="table")
    report = inspected(path, tmp_path)
    facts = report.facts
    assert facts["images"] == 1797 and len(facts["classes"]) == 10 and facts["ready"] and not facts["problems"]
    assert facts["sizes"]["min"] == facts["sizes"]["max"] == [8, 8] and facts["channels"] == {"grey": 1797, "colour": 0}
    assert facts["splits"] == {"train": "source", "val": "preprocess", "test": "source"}
    assert sum(row["test"] for row in facts["classes"]) == 359
    assert facts["suggestion"]["preset"] == "demo"


def test_a_class_without_a_name_in_the_descriptor_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setenv("CCT_CACHE", str(tmp_path / "cache"))
    zipped(tmp_path)
    report = inspected(descriptor(tmp_path / "m.yaml", tmp_path / "archive.zip", "images", ["cat", "cow"]), tmp_path)
    assert list(problems(report)["unknown_classes"].examples) == ["dog"] and not report.ready


def test_thumbnails_stay_in_the_order_of_the_items_and_leave_no_file(tmp_path):
    folder = make_folder(tmp_path / "data", COUNTS, height=SIDE, width=SIDE)
    (folder / "cat/broken.png").write_bytes(b"")
    examined = examine(folder, parameters(), folder=tmp_path / "thumbnails")
    assert not list((tmp_path / "thumbnails").iterdir())
    for row, item in enumerate(examined.items):
        place, number = {"cat": 0, "dog": 1}[item.label], item.name.split("/")[1].removesuffix(".png")
        expected = 0 if number == "broken" else np.asarray(noise(1000 * place + int(number), SIDE, SIDE))
        np.testing.assert_array_equal(thumbnails(examined, [row])[0], expected + np.zeros((SIDE, SIDE, 3), np.uint8))


def test_a_folder_in_every_other_one_is_rather_a_class(tmp_path):
    """Below two sites, the leaf is. Below different groups, the top is, unless the user says otherwise."""
    sites = make_folder(tmp_path / "sites", {f"{site}/{name}": 4 for site in "ab" for name in ("cat", "dog", "owl")})
    report = inspected(sites, tmp_path)
    assert report.facts["classes"][0]["name"] == "cat" and report.examined.class_folder == "leaf"
    assert report.examined.nested == {"top": ["a", "b"], "leaf": ["cat", "dog", "owl"]}
    groups = make_folder(tmp_path / "groups", {"animal/cat": 4, "animal/dog": 4, "plant/rose": 4, "plant/oak": 4})
    assert inspected(groups, tmp_path).examined.class_folder == "top"
    assert inspected(groups, tmp_path, chosen="leaf").examined.classes == ["cat", "dog", "oak", "rose"]


def test_splits_in_every_class_are_no_classes(tmp_path, caplog):
    folder = make_folder(
        tmp_path / "data", {f"{name}/{part}": 4 for name in ("cat", "dog") for part in ("train", "test")}
    )
    assert inspected(folder, tmp_path).examined.classes == ["cat", "dog"]
    assert (
        "the folders test, train inside of class folders are no splits here, so their images are mixed" in caplog.text
    )


def test_a_leaf_folder_that_is_no_class_leaves_the_top_one(tmp_path):
    folder = make_folder(tmp_path / "data", {"a/x\ny": 5, "b/cat": 5})
    report = inspected(folder, tmp_path)
    assert report.examined.nested == {"top": ["a", "b"]} and report.examined.class_folder == "top"
    with pytest.raises(DataError, match="class names must be printable"):
        inspected(folder, tmp_path, chosen="leaf")


def test_a_source_that_cannot_be_read_is_refused_as_everywhere(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare").mkdir()
    noise(1).save(tmp_path / "bare/a.png")
    for name, tables in {"table": ["manifest.csv"], "tables": ["manifest.csv", "metadata.csv"]}.items():
        make_folder(tmp_path / name, COUNTS)
        for table in tables:
            (tmp_path / name / table).write_text("path,kind\ncat/0.png,cat\n")
    (tmp_path / "x.doc").write_text("x")
    (tmp_path / "x.zip").write_text("x")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    for name, message in {
        "absent": "there is no such file or folder",
        "empty": "there is no image",
        "bare": "images without a class folder",
        "x.doc": "not a folder, an archive",
        "x.zip": "damaged, or not a zip file",
        "x.csv": "no column path",
        "table": "no column label",  # though the folder has class folders too
        "tables": "are both manifests",
    }.items():
        with pytest.raises(DataError, match=message):
            inspected(tmp_path / name, tmp_path)
