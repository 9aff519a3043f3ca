"""Classes and splits from the names of files."""

import unicodedata

import pytest

from cct.data.arrays import DataError
from cct.data.listing import SPLIT_FOLDERS, describe_ignored, list_class_folders


def listed(*names, class_folder=None):
    return list_class_folders(names, where="photos", class_folder=class_folder)


def triples(listing):
    return [(item.name, item.label, item.split) for item in listing.items]


def test_folders_are_classes_and_sorted():
    found = listed("dogs/2.jpg", "cats/1.JPG", "dogs/1.jpeg", "Äpfel/a.WebP", "cats/b.Tif")
    assert found.classes == ["cats", "dogs", "Äpfel"]
    assert triples(found) == [
        ("cats/1.JPG", "cats", None),
        ("cats/b.Tif", "cats", None),
        ("dogs/1.jpeg", "dogs", None),
        ("dogs/2.jpg", "dogs", None),
        ("Äpfel/a.WebP", "Äpfel", None),
    ]


@pytest.mark.parametrize(
    ("split", "spelling"), [(split, name) for split in SPLIT_FOLDERS for name in SPLIT_FOLDERS[split]]
)
@pytest.mark.parametrize(
    "change", [str, str.upper, str.title, lambda name: name.replace("_", " "), lambda name: name.replace("_", "-")]
)
def test_split_folders_are_known_by_their_spellings(split, spelling, change):
    folder = change(spelling)
    other = "train" if split != "train" else "test"
    found = listed(f"{folder}/cats/1.png", f"{other}/dogs/1.png")
    assert set(triples(found)) == {(f"{folder}/cats/1.png", "cats", split), (f"{other}/dogs/1.png", "dogs", other)}
    assert found.classes == ["cats", "dogs"]  # whichever split lacks one


@pytest.mark.parametrize("name", ["train", "test", "dev", "Eval"])
def test_a_folder_named_like_a_split_can_be_a_class(name):
    """Beside other classes, if it is the only one."""
    names = (f"{name}/1.png", "cats/1.png")
    found = listed(*names)
    assert found.classes == sorted(name.split("/")[0] for name in names)
    assert {item.split for item in found.items} == {None}


@pytest.mark.parametrize("around", ["photos/", "download/my photos/"])
def test_folders_around_everything_are_no_classes(around):
    found = listed(f"{around}cats/1.png", f"{around}dogs/1.png")
    assert triples(found) == [(f"{around}cats/1.png", "cats", None), (f"{around}dogs/1.png", "dogs", None)]
    with_splits = listed(f"{around}train/cats/1.png", f"{around}val/dogs/1.png")
    assert [item.split for item in with_splits.items] == ["train", "val"]


@pytest.mark.parametrize("name", ["test", "Test Set", "val", "photos/dev"])
def test_one_split_around_everything_is_not_trained_on(name):
    with pytest.raises(DataError, match=f"^photos: {name.split('/')[-1]} looks like a split, but there is no train: "):
        listed(f"{name}/cats/1.png", f"{name}/dogs/1.png")


def test_a_folder_called_train_or_one_with_splits_may_be_around_everything():
    assert listed("train/cats/1.png", "train/dogs/1.png").classes == ["cats", "dogs"]
    found = listed("test/train/cats/1.png", "test/val/dogs/1.png")
    assert [item.split for item in found.items] == ["train", "val"]


@pytest.mark.parametrize(("choice", "classes"), [("top", ["birds", "cats"]), ("leaf", ["eagle", "lion", "tiger"])])
def test_nested_folders(choice, classes):
    found = listed("cats/lion/1.png", "cats/tiger/1.png", "birds/eagle/1.png", class_folder=choice)
    assert found.classes == classes
    splits = listed("train/cats/lion/1.png", "train/birds/eagle/1.png", "test/cats/lion/2.png", class_folder=choice)
    assert {item.split for item in splits.items} == {"train", "test"}


def test_two_spellings_of_unicode_are_one_class():
    composed, decomposed = (unicodedata.normalize(form, "Äpfel") for form in ("NFC", "NFD"))
    assert composed != decomposed
    found = listed(f"{composed}/1.png", f"{decomposed}/2.png", "Birnen/1.png")
    assert found.classes == ["Birnen", composed]
    assert [item.name for item in found.items] == ["Birnen/1.png", f"{composed}/1.png", f"{decomposed}/2.png"]


@pytest.mark.parametrize("name", ["قطط", "猫", "кошки", "γάτες", "बिल्ली", "a b", "a'b\"c", "<b>&", "7", "-x", "c++"])
def test_classes_in_any_script(name):
    assert name in listed(f"{name}/1.png", "dogs/1.png").classes


def test_other_files_are_ignored_and_counted():
    junk = [
        "cats/.DS_Store", "cats/Thumbs.db", "__MACOSX/cats/._1.png", "desktop.ini", ".hidden/1.png",
        "cats/.ipynb_checkpoints/1.png", "cats/1.txt", "labels.csv", "photos.dvc", "sound.ogg", "Makefile",
        "cats/2.HEIC",
    ]  # fmt: skip
    found = listed("cats/1.png", "dogs/1.png", *junk)
    assert [item.name for item in found.items] == ["cats/1.png", "dogs/1.png"]
    assert found.ignored == {
        ".ogg files": 1,
        "files of an operating system": 3,
        "files without an ending": 1,
        "hidden files": 3,
        "images of a format that is not read (.heic)": 1,
        "text files": 3,
    }


@pytest.mark.parametrize(
    ("kind", "one"),
    [
        ("files of an operating system", "1 file of an operating system"),
        ("hidden files", "1 hidden file"),
        ("images of a format that is not read (.heic)", "1 image of a format that is not read (.heic)"),
        (".files files", "1 .files file"),
        ("files without an ending", "1 file without an ending"),
        ("images that manifest.csv does not name", "1 image that manifest.csv does not name"),
    ],
)
def test_one_ignored_file_is_singular(kind, one):
    assert describe_ignored({kind: 1, "text files": 2000}) == f"{one}, 2,000 text files"
