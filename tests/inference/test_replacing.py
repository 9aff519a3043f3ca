"""An export takes the place of an earlier one, or the earlier one stays."""

from pathlib import Path

import pytest

from cct.errors import CCTError
from cct.inference.exporters.replacing import replacing


def make(path: Path, text: str, *, folder: bool) -> None:
    """A file, or a folder with a file, that has this text."""
    if folder:
        path.mkdir(parents=True)
    (path / "file" if folder else path).write_text(text)


def content(path: Path) -> str:
    return (path / "file" if path.is_dir() else path).read_text()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("folder", [False, True])
def test_a_new_export_replaces_an_earlier_one(folder, tmp_path):
    out = tmp_path / "made/model.onnx"
    for text in ("first", "second"):
        with replacing(out) as new:
            assert new.name == out.name and not new.exists()
            make(new, text, folder=folder)
        assert content(out) == text and names(out.parent) == ["model.onnx"]


@pytest.mark.parametrize("earlier", [None, "file", "folder"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ZeroDivisionError, CCTError])
def test_a_failure_leaves_what_was_there(earlier, error, tmp_path):
    out = tmp_path / "model.onnx"
    if earlier:
        make(out, "good", folder=earlier == "folder")
    with pytest.raises(error), replacing(out) as new:
        make(new, "half", folder=earlier == "folder")
        raise error
    assert names(tmp_path) == ["model.onnx"] * bool(earlier)
    assert not earlier or content(out) == "good"


@pytest.mark.parametrize("folder", [False, True])
def test_a_move_that_fails_leaves_the_earlier_export(folder, tmp_path):
    """The block writes nothing, so that there is nothing to move."""
    out = tmp_path / "model.onnx"
    make(out, "good", folder=folder)
    with pytest.raises(FileNotFoundError), replacing(out):
        pass
    assert content(out) == "good" and names(tmp_path) == ["model.onnx"]


def test_a_link_to_an_earlier_folder_is_replaced_and_its_target_stays(tmp_path):
    out, target = tmp_path / "model.savedmodel", tmp_path / "target"
    make(target, "good", folder=True)
    out.symlink_to(target)
    with replacing(out) as new:
        make(new, "new", folder=True)
    assert content(out) == "new" and content(target) == "good" and not out.is_symlink()
    assert names(tmp_path) == ["model.savedmodel", "target"]


def test_messages_name_the_path_that_the_user_knows(tmp_path):
    out = tmp_path / "model.onnx"
    with pytest.raises(CCTError) as caught, replacing(out) as new:
        raise CCTError(f"{new} is wrong")
    assert str(caught.value) == f"{out} is wrong"
