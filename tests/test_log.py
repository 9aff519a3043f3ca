"""Progress on the console, and in a file that outlives the terminal."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cct.errors import one_line
from cct.log import ROOT, log_to_file

log = logging.getLogger("cct.test")


@pytest.fixture(autouse=True)
def _handlers():
    before = list(logging.getLogger(ROOT).handlers)
    yield
    logging.getLogger(ROOT).handlers[:] = before


def test_a_file_has_all_lines_with_their_time(tmp_path, capsys):
    path = log_to_file(tmp_path / "logs", "feature/x@1234567")
    log.info("one")
    log.warning("two at http://me:secret@host/x")
    assert capsys.readouterr() == ("one\n", "warning: two at http://***@host/x\n")
    assert path == tmp_path / "logs/feature-x@1234567.log"
    lines = [line.split("  ", 1) for line in path.read_text().splitlines()]
    assert [text for _, text in lines] == ["one", "two at http://***@host/x"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", time) for time, _ in lines)


def test_runs_of_one_name_share_a_file(tmp_path):
    for line in ("one", "two"):
        path = log_to_file(tmp_path, "name")
        log.info(line)
        logging.getLogger(ROOT).handlers.pop().close()
    assert [line.split("  ", 1)[1] for line in path.read_text().splitlines()] == ["one", "two"]


def test_a_file_that_cannot_be_written_costs_nothing(tmp_path, capsys):
    (tmp_path / "logs").write_text("")  # no folder
    log_to_file(tmp_path / "logs", "name")
    log.info("one")
    assert capsys.readouterr() == ("one\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_that_takes_the_output_ends_no_run():
    """As the log of `nohup dvc repro &` on the disk that a training fills."""
    code = """
import sys
from cct.entry import entry_point, log

@entry_point
def main():
    for _ in range(3):
        log.info("a line")
        log.warning("a warning")

sys.exit(main())
"""
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=full, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\n  two", "one two"),
        ("\x1b[1mwrong\x1b[0m shape", "wrong shape"),  # as Keras writes the errors of layers
        ("", "ValueError"),
        ("\x07", "ValueError"),
        ("x" * 300, "x" * 200),
    ],
)
def test_the_error_of_a_library_is_one_printable_line(text, line):
    assert one_line(ValueError(text)) == line
