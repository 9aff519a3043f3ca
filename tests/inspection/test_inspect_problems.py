"""Each kind of problem is found, and `ready` is what preprocess says."""

import shutil

import numpy as np
import pytest
from inspected import inspected, make_folder, noise, parameters, problems
from PIL import Image

from cct.data.arrays import DataError
from cct.data.images.source import list_images, prepare_images
from cct.inspection.page import as_html
from cct.inspection.problems import SHOWN
from cct.inspection.text import as_text
from cct.tasks.image_classification.preparation import describe

COUNTS = {"cat": 8, "dog": 8}


def good(root):
    make_folder(root, COUNTS)
    return set()


def bad_images(root):
    make_folder(root, COUNTS)
    for number in range(7):
        (root / f"cat/empty{number}.png").write_bytes(b"")
    (root / "dog/text.jpg").write_text("no image")
    (root / "dog/cut.png").write_bytes((root / "dog/1.png").read_bytes()[:300])
    return {"bad_images"}


def only_bad_images(root):
    for name in COUNTS:
        (root / name).mkdir(parents=True)
        (root / name / "a.png").write_bytes(b"")
    return {"bad_images", "small_classes"}


def nested_folders(root):
    make_folder(root, {"a/cat": 5, "a/dog": 5, "b/cow": 5})
    return {"nested_folders"}


def one_class(root):
    make_folder(root, {"cat": 8})
    return {"one_class"}


def small_classes(root):
    make_folder(root, COUNTS | {"owl": 2, "rat": 1})
    return {"small_classes"}


def duplicates_fill_a_class(root):
    make_folder(root, COUNTS | {"owl": 2})
    for number in range(6):
        shutil.copy(root / "owl/0.png", root / f"owl/copy{number}.png")
    return {"small_classes", "exact_duplicates"}


def class_without_training_images(root):
    make_folder(root, {"train/cat": 6, "train/dog": 6, "test/cat": 3, "test/owl": 3})
    return {"small_classes"}


def one_colour(root):
    for name, value in {"cat": 9, "dog": 9}.items():
        (root / name).mkdir(parents=True)
        for number in range(8):
            pixels = np.asarray(noise(number + 100 * (name == "cat"))).copy()
            pixels[..., 2] = value
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return {"one_colour"}


def exact_duplicates(root):
    make_folder(root, COUNTS)
    shutil.copy(root / "cat/0.png", root / "cat/again.png")
    return {"exact_duplicates"}


def near_duplicates(root):
    make_folder(root, COUNTS)
    smooth = noise(5, 6, 6).resize((60, 60), Image.Resampling.BICUBIC)
    smooth.save(root / "cat/near.png")
    smooth.resize((90, 90)).save(root / "cat/near.jpg", quality=95)
    return {"near_duplicates", "small"}


def leaks(root):
    make_folder(root, {f"{split}/{name}": 6 for split in ("train", "test") for name in COUNTS})
    for path in (root / "test").glob("*/*.png"):
        noise(10_000 + 100 * (path.parent.name == "cat") + int(path.stem)).save(path)
    shutil.copy(root / "train/cat/0.png", root / "test/cat/again.png")
    return {"leaks", "exact_duplicates"}


def conflicts(root):
    make_folder(root, COUNTS)
    shutil.copy(root / "cat/0.png", root / "dog/again.png")
    return {"conflicts", "exact_duplicates"}


def other_ending(root):
    make_folder(root, COUNTS)
    (root / "cat/0.png").rename(root / "cat/0.JPG")
    (root / "cat/1.png").rename(root / "cat/1.PNG")  # the same format
    return {"other_ending"}


def small_dark_bright(root):
    make_folder(root, COUNTS)
    noise(50, 19, 25).save(root / "cat/small.png")
    noise(51, 70, 70).save(root / "cat/large.png")
    for number, (low, high) in {"dark": (0, 20), "bright": (244, 256)}.items():
        pixels = np.random.default_rng(1).integers(low, high, (70, 70, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"dog/{number}.png")
    return {"small", "dark", "bright"}


SCENARIOS = [
    good,
    bad_images,
    only_bad_images,
    nested_folders,
    one_class,
    small_classes,
    duplicates_fill_a_class,
    class_without_training_images,
    one_colour,
    exact_duplicates,
    near_duplicates,
    leaks,
    conflicts,
    other_ending,
    small_dark_bright,
]


def preprocess_accepts(path, tmp_path, **changes) -> bool:
    preprocess = parameters(**changes)
    try:
        files = list_images(path, preprocess.class_folder)
        with prepare_images(files, preprocess, name="x", folder=tmp_path / "decoded", made_by=None) as prepared:
            train = prepared.splits["train"]
            describe(train.inputs[train.row_n])
    except DataError:
        return False
    return True


@pytest.mark.parametrize("make", SCENARIOS, ids=lambda make: make.__name__)
def test_each_problem_is_found_and_the_verdict_is_that_of_preprocess(make, tmp_path):
    expected = make(tmp_path / "data")
    report = inspected(tmp_path / "data", tmp_path)
    assert set(problems(report)) == expected
    assert report.ready == preprocess_accepts(tmp_path / "data", tmp_path)
    assert report.facts["to_do"].startswith("Ready" if report.ready else "To do")
    for problem in report.problems:
        assert 0 < len(problem.examples) + (problem.kind == "one_colour") <= SHOWN
        assert problem.count >= len(problem.rows) or problem.kind == "exact_duplicates"


@pytest.mark.parametrize("make", [bad_images, nested_folders], ids=lambda make: make.__name__)
def test_the_suggested_parameters_are_enough_where_the_last_line_says_so(make, tmp_path):
    make(tmp_path / "data")
    facts = inspected(tmp_path / "data", tmp_path).facts
    assert facts["to_do"].startswith("To do: run the suggested command")
    words = dict(word.split("=", 1) for word in facts["suggestion"]["parameters"])
    changes = {
        name.partition(".")[2]: int(value) if value.isdecimal() else value
        for name, value in words.items()
        if name.startswith("preprocess.")
    }
    assert preprocess_accepts(tmp_path / "data", tmp_path, **changes)
    assert inspected(tmp_path / "data", tmp_path, **changes).ready  # the parameters as they are then


def test_bad_images_are_grouped_by_reason_and_counted(tmp_path):
    bad_images(tmp_path / "data")
    report = inspected(tmp_path / "data", tmp_path)
    found = problems(report)["bad_images"]
    assert found.title == "9 bad images: empty (7), damaged (1), not an image (1)"
    assert (found.count, len(found.examples), found.more) == (9, SHOWN, 4)
    assert found.examples[0] == "cat/empty0.png: empty"
    assert report.facts["classes"][0]["images"] == 8  # those that can be used


def test_the_last_line_names_every_remedy(tmp_path):
    nested_folders(tmp_path / "data")
    (tmp_path / "data/a/cat/x.png").write_bytes(b"")
    last = inspected(tmp_path / "data", tmp_path).facts["to_do"]
    assert last.endswith("; or mend or remove 1 bad image and set preprocess.class_folder.")


def test_what_only_people_can_mend_comes_before_the_command(tmp_path):
    small_classes(tmp_path / "data")
    (tmp_path / "data/cat/empty.png").write_bytes(b"")
    report = inspected(tmp_path / "data", tmp_path)
    assert report.facts["to_do"] == "To do before any training: add images of owl, rat; mend or remove 1 bad image."
    for shown in (as_text(report.facts), as_html(report)):
        assert "Suggested command, once the problems are solved" in shown
    found = problems(report)["small_classes"]
    assert found.title == "2 classes with fewer than 3 different images"
    assert found.examples[:2] == ["owl: 2", "rat: 1"] and "leaves nothing on one side of: rat" in found.examples[2]


def test_groups_of_duplicates_have_their_names_and_images(tmp_path):
    conflicts(tmp_path / "data")
    found = problems(inspected(tmp_path / "data", tmp_path))
    assert list(found["conflicts"].examples) == ["cat/0.png = dog/again.png"]
    assert found["exact_duplicates"].title == "1 image equals an earlier one in all pixels"
    assert found["exact_duplicates"].rows == [[0, 16]]


def test_fractions_of_the_parameters_decide(tmp_path):
    make_folder(tmp_path / "data", {"cat": 4, "dog": 4})
    assert inspected(tmp_path / "data", tmp_path).ready
    refused = inspected(tmp_path / "data", tmp_path, test_fraction=0.9)
    assert not refused.ready and "test_fraction" in problems(refused)["splits"].remedy


def test_facts_are_counted(tmp_path):
    folder = make_folder(tmp_path / "data", {"cat": 3, "dog": 6})
    noise(1, 40, 20, channels=1).save(folder / "cat/grey.png")
    noise(2, 30, 30).save(folder / "cat/large.jpg")
    (folder / "notes.txt").write_text("x")
    (folder / "cat/.hidden.png").write_bytes(b"")
    facts = inspected(folder, tmp_path).facts
    assert facts["imbalance"] == 1.2
    assert facts["sizes"] == {"min": [20, 20], "median": [20, 20], "max": [30, 30], "distinct": 3, "non_square": 0.0909}
    assert facts["channels"] == {"grey": 1, "colour": 10} and facts["formats"] == {"PNG": 10, "JPEG": 1}
    assert facts["ignored"] == {"hidden files": 1, "text files": 1}


def test_the_brightness_is_the_mean_of_all_images(tmp_path):
    """Images of one grey each, which keep it at any size."""
    for name, greys in {"cat": (0, 15, 16), "dog": (240, 241, 103)}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for grey in greys:
            Image.new("L", (20, 30), grey).save(tmp_path / "data" / name / f"{grey}.png")
    brightness = inspected(tmp_path / "data", tmp_path).facts["brightness"]
    assert brightness == {"mean": 102.5, "very_dark": 2, "very_bright": 1}


def test_a_split_whose_images_are_all_bad_is_refused_as_preprocess_does(tmp_path):
    """Also where bad images are skipped: training images would take their place."""
    for number, name in enumerate(("a", "b")):
        (tmp_path / "data/train" / name).mkdir(parents=True)
        (tmp_path / "data/test" / name).mkdir(parents=True)
        (tmp_path / "data/test" / name / "1.png").write_bytes(b"")
        for image in range(8):
            noise(100 * number + image).save(tmp_path / "data/train" / name / f"{image}.png")
    report = inspected(tmp_path / "data", tmp_path, on_bad_image="skip")
    assert not report.ready and not preprocess_accepts(tmp_path / "data", tmp_path, on_bad_image="skip")
    assert "all images of its split test are bad" in problems(report)["splits"].remedy
    assert "all images of its split test are bad" in report.facts["to_do"]


def test_every_group_of_equal_images_is_counted(tmp_path):
    """Also of images that are nearly equal to others, in the order of the source."""
    for label, numbers in (("a", range(8)), ("b", range(8, 16))):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in numbers:
            for copy in ("one", "two"):
                noise(number).save(tmp_path / "data" / label / f"{number:02}-{copy}.png")
    found = problems(inspected(tmp_path / "data", tmp_path))["exact_duplicates"]
    assert found.count == 16 and len(found.examples) == 5 and found.more == 11
    assert found.examples[0] == "a/00-one.png = a/00-two.png"
