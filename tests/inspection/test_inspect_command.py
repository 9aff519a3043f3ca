"""`cct inspect` as users start it: exit codes, output and files."""

import json

import pytest
from clones import DEFAULTS, ROOT
from inspected import make_folder, noise
from PIL import Image

from cct import cli
from cct.data.archives import ARCHIVE_SUFFIXES
from cct.data.params import DESCRIPTOR_SUFFIXES
from cct.data.tables import READERS


@pytest.fixture(autouse=True)
def _root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr("cct.commands.inspect.PARAMS", DEFAULTS)


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "photos", {"cat": 5, "dog": 5})


def test_a_good_source_ends_with_0_and_two_files(folder, tmp_path, capsys):
    assert cli.main(["inspect", str(folder), "--output", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"photos: 10 images in 2 classes ({folder})" and lines[-1].startswith("Ready")
    assert "  dvc exp run $(cct preset fast) -S data.source=" in "\n".join(lines)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["inspect.html", "inspect.png"]
    assert Image.open(tmp_path / "out/inspect.png").width == 800
    assert (tmp_path / "out/inspect.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_bad_image_ends_with_1_and_what_to_do(folder, tmp_path, capsys):
    (folder / "cat/x.png").write_bytes(b"")
    assert cli.main(["inspect", str(folder), "--output", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == (
        "To do: run the suggested command, which has parameters for this; or mend or remove 1 bad image."
    )
    assert not said.err and (tmp_path / "out/inspect.html").exists()


def test_json_is_all_that_stdout_has(folder, tmp_path, capsys):
    words = ["inspect", str(folder), "--json", "--image-size", "48x64", "--output", str(tmp_path / "out")]
    assert cli.main(words) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert facts["images"] == 10 and facts["ready"] and facts["suggestion"]["image_size"] == [48, 64]
    assert [problem["kind"] for problem in facts["problems"]] == ["small"]
    assert facts["files"] == [str(tmp_path / "out/inspect.html"), str(tmp_path / "out/inspect.png")]
    assert cli.main([*words[:-1], str(tmp_path / "again"), "--class-folder", "leaf"]) == 0  # not nested: no matter
    assert json.loads(capsys.readouterr().out)["suggestion"] == facts["suggestion"]


def test_json_of_a_descriptor_has_no_lines_of_the_download(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CCT_CACHE", str(tmp_path / "cache"))
    assert cli.main(["inspect", "data/sources/digits.yaml", "--json", "--output", str(tmp_path / "out")]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "digits"


def test_an_unreadable_source_is_one_sentence(tmp_path, capsys):
    assert cli.main(["inspect", str(tmp_path / "none"), "--output", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert not said.out and said.err.startswith("error: data.source = ") and said.err.count("\n") == 1
    assert not list((tmp_path / "out").iterdir())


def test_a_file_that_is_no_source_is_told_what_a_source_may_be(tmp_path, capsys):
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    assert cli.main(["inspect", str(tmp_path / "labels.txt"), "--output", str(tmp_path / "out")]) == 1
    archives, tables, descriptors = map(", ".join, (ARCHIVE_SUFFIXES, READERS, DESCRIPTOR_SUFFIXES))
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/labels.txt: not a folder, an archive ({archives}), a table of images or texts ({tables}) "
        f"or a descriptor ({descriptors})\n"
    )


def test_a_folder_that_cannot_be_written_is_refused_before_work(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert cli.main(["inspect", str(folder), "--output", str(tmp_path / "file")]) == 1
    assert "cannot write into" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["7", "513", "0x64", "64x", "x", "-1", "6e1", "٦٤"])
def test_a_size_that_image_size_cannot_have_is_refused(folder, size, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["inspect", str(folder), f"--image-size={size}"])
    assert ended.value.code == 2
    assert "is not a side or HEIGHTxWIDTH from 8 to 512 pixels" in capsys.readouterr().err


def test_nested_folders_end_with_1_until_the_parameters_have_the_answer(tmp_path, capsys):
    folder = make_folder(tmp_path / "photos", {"a/cat": 4, "a/dog": 4, "b/owl": 4})
    noise(9_999).save(folder / "b/owl/x.png")
    words = ["inspect", str(folder), "--json", "--output", str(tmp_path / "out")]
    for more, taken in (([], "top"), (["--class-folder", "leaf"], "leaf")):
        assert cli.main([*words, *more]) == 1
        assert f"preprocess.class_folder={taken}" in json.loads(capsys.readouterr().out)["suggestion"]["parameters"]
