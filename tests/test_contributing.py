"""The ten changes of docs/contributing.md apply to the code as it is, and their tests pass."""

import re
from pathlib import Path

import pytest
from clones import ROOT

PAGE = (ROOT / "docs/contributing.md").read_text(encoding="utf-8")
CHANGES = dict(re.findall(r"^### (\d+)\. (.*?)(?=^### |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
BLOCK = re.compile(r'^```(python|diff|sh)(?: title="([^"]*)")?\n(.*?)^```$', flags=re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^=== (\S+)\n(.*?)(?=^=== |\Z)", flags=re.MULTILINE | re.DOTALL)
REMEDY = "correct the lines of docs/contributing.md; the file does not have them once, in this order: "


def patched(text: str, diff: str, where: str) -> str:
    """The text with the hunks of a diff, whose old lines must be in it once and in order."""
    text, start = f"\n{text}", 0
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = [(line[:1], line[1:] if line.strip() else line) for line in hunk.splitlines(keepends=True)]
        old, new = ("\n" + "".join(line for sign, line in lines if sign != other) for other in "+-")
        assert text.count(old) == 1 and text.index(old) >= start, f"{REMEDY}{where}:{old}"
        start = text.index(old)
        text = text.replace(old, new)
    return text[1:]


def apply(number: str, top: Path) -> list[str]:
    """Do what the page says in a folder; returns the scripts of its commands."""
    scripts = []
    for language, title, body in BLOCK.findall(CHANGES[number]):
        if language == "python":
            (top / title).write_text(body, encoding="utf-8")
        elif language == "diff":
            for name, diff in FILE.findall(body):
                source = top / (name if (top / name).exists() else "presets/demo.yaml")  # which the page copies
                (top / name).write_text(patched(source.read_text(encoding="utf-8"), diff, name), encoding="utf-8")
        else:
            scripts.append(body)
    return scripts


def test_there_are_ten():
    assert list(CHANGES) == [str(number) for number in range(1, 11)]


def test_all_apply_one_after_the_other(make_clone):
    clone = make_clone()
    for number in CHANGES:
        apply(number, clone.path)
    clone.run("ruff", "check")
    clone.run("ruff", "format", "--check")


@pytest.mark.docs
@pytest.mark.parametrize("number", CHANGES)
def test_the_commands_of_a_change_pass(number, make_clone):
    clone = make_clone()
    clone.link_environment()
    for script in apply(number, clone.path):
        short = script.replace("train.epochs=2", "train.epochs=1")
        clone.run("bash", "-c", f"set -e\n{short}", PYTHONPATH=str(clone.path / "src"))
