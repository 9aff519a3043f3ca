"""The `cct` command, and the wrapper around every entry point."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from cct import cli
from cct.entry import entry_point
from cct.errors import CCTError
from cct.experiments.presets import preset_names
from cct.log import redact


@pytest.fixture(autouse=True)
def _root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def test_check_counts_and_refuses(tmp_path, capsys):
    assert cli.main(["check"]) == 0
    assert capsys.readouterr().out.startswith("params.yaml: ")
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "a.yaml").write_text(text.replace("epochs: 30", "epochs: 0"))
    assert cli.main(["check", str(tmp_path / "a.yaml")]) == 1
    assert "train.epochs = 0: must be" in capsys.readouterr().err
    (tmp_path / "a.yaml").write_text(text.replace("cifar10.yaml", "cifar11.yaml"))
    assert cli.main(["check", str(tmp_path / "a.yaml")]) == 1
    assert "cannot read data/sources/cifar11.yaml" in capsys.readouterr().err


def test_presets_are_listed_and_printed(capsys, monkeypatch):
    assert cli.main(["preset", "--list"]) == 0
    listed = capsys.readouterr().out
    assert cli.main(["preset"]) == 0 and listed == (again := capsys.readouterr().out)
    assert {line.split()[0] for line in again.splitlines()} == set(preset_names())
    monkeypatch.chdir(ROOT / "src")
    assert cli.main(["preset", "keras_example"]) == 0
    words = capsys.readouterr().out.split()
    assert words[:2] == ["-S", "model.name=keras_example"] and "train.decay_norm_and_bias=true" in words


def test_a_misspelt_preset_is_refused_by_dvc_too(capsys):
    """`dvc exp run $(cct preset keras_exampel)` must not run the defaults."""
    assert cli.main(["preset", "keras_exampel"]) == 1
    said = capsys.readouterr()
    assert "did you mean keras_example?" in said.err
    words = [Path(sys.executable).with_name("dvc"), "exp", "run", *said.out.split()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "no-such-preset" in done.stderr


def test_ui_refuses_a_remote_store(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@host/mlflow")
    assert cli.main(["ui"]) == 1
    said = capsys.readouterr().err
    assert "names a server" in said and "secret" not in said


def test_errors_of_the_user_are_messages(capsys, tmp_path):
    @entry_point
    def fails(error):
        raise error

    assert fails(CCTError("what to do")) == 1
    assert capsys.readouterr().err == "error: what to do\n"
    assert fails(PermissionError(13, "Permission denied", "x")) == 1
    assert capsys.readouterr().err == "error: [Errno 13] Permission denied: 'x'\n"
    assert fails(KeyboardInterrupt()) == 130
    with pytest.raises(ZeroDivisionError):  # ours: the traceback is what we need
        fails(ZeroDivisionError())


def test_sigterm_ends_like_ctrl_c():
    code = "import signal, sys; from cct.errors import entry_point\n"
    code += "@entry_point\ndef main():\n  print('ready', flush=True); signal.pause()\nsys.exit(main())"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as run:
        assert run.stdout.readline() == "ready\n"
        run.send_signal(signal.SIGTERM)
        assert run.wait(10) == 130
        assert run.stderr.read() == "interrupted\n"


def test_addresses_lose_their_passwords():
    for secret in ("me:word", "me:p@ss", "me:pa/ss", "token"):
        assert redact(f"at http://{secret}@host/x and https://a/b@c") == "at http://***@host/x and https://a/b@c"


def test_dvc_finds_python_and_an_author_where_there_is_none(tmp_path):
    """In a process of DVC's, started by its full path, with nothing activated and no git configuration."""
    dvc = Path(sys.executable).with_name("dvc")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    code = "import os; print(os.environ['PATH'].split(':')[0], os.environ.get('GIT_COMMITTER_EMAIL'), sep='\\n')"
    script = tmp_path / "dvc"
    script.write_text(code)
    said = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [str(dvc.parent), "dvc@localhost"]
    other = tmp_path / "other.py"
    other.write_text(code)
    said = subprocess.run([sys.executable, other], env=environment, capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["/usr/bin", "None"], "no other program is touched"
    assert os.environ.get("GIT_COMMITTER_EMAIL") is None
