"""Checkpoints on a real disk. The process that reads them is not the process that wrote them."""

import os
import resource
import subprocess
import sys
import threading

import numpy as np
import pytest
from patience import HUNG_S

from cct.errors import CCTError
from cct.training.checkpoints import MAX_RUNS, CheckpointStore, run_digest

NAME = "ab" * 20


def arrays(value: float, size: int = 3000) -> dict[str, list[np.ndarray]]:
    return {"model": [np.full((size,), value, np.float32), np.array(7, np.int64)], "best": []}


def save(top, *, epoch: int, step: int = 0, name: str = NAME, size: int = 3000, notes=None) -> None:
    with CheckpointStore(top, name) as saved:
        saved.notes |= notes or {}
        saved.save({"epoch": epoch, "step": step, "history": [{"loss": 0.1}]}, arrays(epoch + step / 100, size))


def latest(top, name: str = NAME):
    with CheckpointStore(top, name) as saved:
        return saved.latest


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    assert latest(tmp_path) is None
    save(tmp_path, epoch=3, step=41, notes={"run": "x"})
    content, found = latest(tmp_path)
    assert content == {"epoch": 3, "step": 41, "history": [{"loss": 0.1}], "notes": {"run": "x"}}
    assert found.keys() == {"model", "best"} and found["best"] == []
    np.testing.assert_array_equal(found["model"][0], arrays(3.41)["model"][0])
    assert found["model"][1].shape == () and found["model"][1].dtype == np.int64
    save(tmp_path, epoch=4)
    assert latest(tmp_path).content["notes"] == {"run": "x"}, "notes go from checkpoint to checkpoint"


def test_only_the_last_two_are_kept_and_one_of_a_finished_run(tmp_path):
    for epoch in range(1, 6):
        save(tmp_path, epoch=epoch)
    names = sorted(path.name[:6] for path in (tmp_path / NAME).iterdir())
    assert names == ["000004", "000005"]
    with CheckpointStore(tmp_path, NAME) as saved:
        saved.finish(["d1", "d2"])
    assert sorted(path.name[:6] for path in (tmp_path / NAME).iterdir()) == ["000005", "finish"]


@pytest.mark.parametrize("name", [NAME, "cd" * 20])  # the next start is of the same run, or of another
def test_the_last_checkpoint_of_a_finished_run_stays_until_a_start_finds_its_files_committed(tmp_path, name):
    save(tmp_path, epoch=3)
    asked = []

    def answer(committed: bool):
        return lambda digests: (asked.append(digests), committed)[1]

    with CheckpointStore(tmp_path, NAME, answer(True)) as saved:
        saved.finish(["d1", "d2"])
    assert asked == []  # no run was finished when this one started
    with CheckpointStore(tmp_path, name, answer(False)):
        pass
    assert asked == [["d1", "d2"]] and latest_is_there(tmp_path)
    (tmp_path / NAME / "finished.json").write_bytes(b"torn")
    with CheckpointStore(tmp_path, name, answer(True)):
        pass
    assert latest_is_there(tmp_path)
    with CheckpointStore(tmp_path, NAME, answer(False)) as saved:
        saved.finish(["d1", "d2"])
    with CheckpointStore(tmp_path, name, answer(True)) as saved:
        assert saved.latest is None
    assert not (tmp_path / NAME).exists()


def latest_is_there(top) -> bool:
    return any((top / NAME).glob("000003-*.npz"))


def test_the_tracked_run_is_known_as_soon_as_the_tracker_knows_it(tmp_path):
    with CheckpointStore(tmp_path, NAME) as saved:
        assert saved.tracked_run() is None
    saved.note_tracked_run("r1")  # after an interrupt, and without a checkpoint
    with CheckpointStore(tmp_path, NAME) as saved:
        assert saved.tracked_run() == "r1" and saved.latest is None
        saved.clear()
    assert not (tmp_path / NAME).exists()


def test_a_power_cut_at_any_place_of_the_last_leaves_the_one_before(tmp_path):
    save(tmp_path, epoch=1, size=25_000)
    save(tmp_path, epoch=2, size=25_000)
    last = next((tmp_path / NAME).glob("000002-*"))
    whole = last.read_bytes()
    assert len(whole) > 20 * 4096
    for length in [*range(0, len(whole), 4096), len(whole) - 1]:
        last.write_bytes(whole[:length])
        assert latest(tmp_path).content["epoch"] == 1, f"cut at {length}"
        assert not last.exists(), "or it would be taken for one of the two that are kept"
    for position in range(100, len(whole), 9973):  # a cut may also leave zeros
        last.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert latest(tmp_path).content["epoch"] == 1
    last.write_bytes(whole)
    assert latest(tmp_path).content["epoch"] == 2


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    save(tmp_path, epoch=1)
    (tmp_path / NAME / ".000002.123.part").write_bytes(b"half")
    assert latest(tmp_path).content["epoch"] == 1
    assert len(list((tmp_path / NAME).iterdir())) == 1


def test_a_full_disk_warns_keeps_the_last_checkpoint_and_is_tried_again(tmp_path):
    """The file size limit of a process stands for the disk: the write breaks off half way, for any user."""
    save(tmp_path, epoch=1)
    code = f"""
import numpy, resource, cct.log
cct.log.configure_logging()
from pathlib import Path
from cct.training.checkpoints import CheckpointStore
with CheckpointStore(Path({str(tmp_path)!r}), {NAME!r}) as saved:
    for epoch, limit in ((2, 5000), (3, 10**7)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, {resource.RLIM_INFINITY}))
        saved.save({{"epoch": epoch, "step": 0}}, {{"model": [numpy.zeros(3000)]}})
        print(sorted(path.name[:6] for path in saved.folder.iterdir()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['000001']", "['000001', '000003']"]
    assert done.stderr.count("warning: ") == 1 and "cannot write a checkpoint into" in done.stderr
    assert "File too large. Training continues" in done.stderr
    assert latest(tmp_path).content["epoch"] == 3


def test_runs_are_bounded_in_number_and_finished_ones_go_first(tmp_path, caplog):
    for i in range(MAX_RUNS + 2):
        save(tmp_path, epoch=1, name=f"{i:02}" * 20)
        if i == 5:
            (tmp_path / (f"{i:02}" * 20) / "finished.json").write_text('["not committed"]')
        os.utime(tmp_path / (f"{i:02}" * 20), (i, i))
    with CheckpointStore(tmp_path, "ff" * 20, lambda digests: False) as saved:
        saved.save({"epoch": 1, "step": 0}, {})
    left = sorted(path.name[:2] for path in tmp_path.iterdir() if path.is_dir())
    assert left == [f"{i:02}" for i in range(2, MAX_RUNS + 2) if i != 5] + ["ff"]
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 2 and all("interrupted training, which cannot resume now" in text for text in warned)
    assert not any(str(tmp_path / ("05" * 20)) in text for text in warned), "a finished one loses nothing"


def test_unfinished_runs_are_bounded_in_size_but_none_is_taken_from_its_process(tmp_path, monkeypatch):
    for i in range(3):
        save(tmp_path, epoch=1, name=f"{i:02}" * 20)
        os.utime(tmp_path / (f"{i:02}" * 20), (i, i))
    monkeypatch.setattr("cct.training.checkpoints.MAX_BYTES", 15_000)  # one of them is 12,000
    with CheckpointStore(tmp_path, "00" * 20):
        save(tmp_path, epoch=1, name="ff" * 20)
    left = sorted(path.name[:2] for path in tmp_path.iterdir() if path.is_dir())
    assert left == ["00", "ff"]


def test_the_second_of_two_equal_runs_waits(tmp_path, monkeypatch):
    order, told = [], threading.Event()
    monkeypatch.setattr("cct.training.checkpoints.log.info", lambda text: (order.append(text), told.set()))

    def second() -> None:
        with CheckpointStore(tmp_path, NAME) as saved:
            order.append("second")
            assert saved.latest.content["epoch"] == 1

    with CheckpointStore(tmp_path, NAME) as saved:
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(HUNG_S)
        saved.save({"epoch": 1, "step": 0}, {})
        order.append("first")
    thread.join(HUNG_S)
    assert order == ["another process is training exactly this: waiting for its end", "first", "second"]


def test_a_damaged_checkpoint_is_named(tmp_path, capsys):
    save(tmp_path, epoch=1)
    path = next((tmp_path / NAME).iterdir())
    path.write_bytes(b"no checkpoint")
    with CheckpointStore(tmp_path, NAME) as saved:
        assert saved.latest is None
    assert capsys.readouterr().err == f"warning: the checkpoint {path} is damaged and not used\n"


def test_where_no_checkpoints_can_be_kept_is_said_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(CCTError, match=r"cannot keep checkpoints in .*file/checkpoints: Not a directory"):
        CheckpointStore(tmp_path / "file/checkpoints", NAME).__enter__()
    for wrong in ("abc", "-1", "nan", ""):
        monkeypatch.setenv("CCT_CHECKPOINT_SECONDS", wrong)
        with pytest.raises(CCTError, match=r"CCT_CHECKPOINT_SECONDS = .*: must be a number of seconds, 0 or more"):
            CheckpointStore(tmp_path, NAME)


def test_the_digest_is_of_parameters_and_files(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("x = 1\n")
    base = run_digest({"train": {"epochs": 3}}, [file])
    assert run_digest({"train": {"epochs": 3}}, [file]) == base
    assert run_digest({"train": {"epochs": 4}}, [file]) != base
    assert run_digest({"train": {"epochs": 3}}, []) != base
    file.write_text("x = 2\n")
    assert run_digest({"train": {"epochs": 3}}, [file]) != base
    with pytest.raises(CCTError, match=r"cannot read .*b\.py"):
        run_digest({}, [tmp_path / "b.py"])
