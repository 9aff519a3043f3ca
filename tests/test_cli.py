"""The `cct` command, and the wrapper around every entry point."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from clones import DEFAULTS, ROOT
from patience import HUNG_S
from servers import free_port

from cct import cli
from cct.commands.arguments import file_path
from cct.commands.demo import DEMOS
from cct.commands.track import _done
from cct.dvc import child_environment
from cct.entry import entry_point
from cct.errors import CCTError
from cct.experiments.presets import preset_arguments, preset_names
from cct.log import redact
from cct.stages import __main__ as stages
from cct.tracking.address import require_sqlite_file
from cct.tracking.view import view_path


@pytest.fixture(autouse=True)
def _root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def test_paths_of_a_subfolder_are_short_and_name_the_same_file(tmp_path, monkeypatch):
    """A folder above a linked folder is not the one that its name seems to say."""
    (tmp_path / "elsewhere/in").mkdir(parents=True)
    link = ROOT / "src" / f"link-{tmp_path.name}"
    link.symlink_to(tmp_path / "elsewhere/in")
    try:
        monkeypatch.chdir(ROOT / "src")
        assert file_path("../photos") == Path("photos") and file_path("cct/../x.csv") == Path("src/x.csv")
        assert file_path(f"{link.name}/../x.csv") == Path(f"src/{link.name}/../x.csv")
        assert file_path("../../photos") == ROOT.parent / "photos"
    finally:
        link.unlink()


def test_check_counts_and_refuses(tmp_path, capsys):
    assert cli.main(["check"]) == 0
    assert capsys.readouterr().out.startswith("params.yaml: ")
    text = (DEFAULTS).read_text()
    (tmp_path / "a.yaml").write_text(text.replace("epochs: 30", "epochs: 0"))
    assert cli.main(["check", str(tmp_path / "a.yaml")]) == 1
    assert "train.epochs = 0: must be" in capsys.readouterr().err
    (tmp_path / "a.yaml").write_text(text.replace("cifar10.yaml", "cifar11.yaml"))
    assert cli.main(["check", str(tmp_path / "a.yaml")]) == 1
    assert "cannot read data/sources/cifar11.yaml" in capsys.readouterr().err
    wrong = text.replace("cifar10.yaml", "cifar11.yaml").replace("epochs: 30", "epochs: 0")
    (tmp_path / "a.yaml").write_text(wrong.replace("init_from: null", "init_from: pretrained/none.keras"))
    assert cli.main(["check", str(tmp_path / "a.yaml")]) == 1
    said = capsys.readouterr().err  # all at once
    for mistake in ("cannot read data/sources/cifar11", "train.epochs = 0: must be", "none.keras': there is no"):
        assert f"\n  {mistake}" in said or f"\n  train.init_from = 'pretrained/{mistake}" in said
    assert "a.yaml has 4 mistakes:" in said  # step_epochs is one too
    assert cli.main(["check", "-S", "preprocess.embeddings=x.txt", "-S", "train.init_from=x.keras"]) == 1
    assert "with -S has 2 mistakes:" in capsys.readouterr().err


def test_check_takes_settings_as_dvc_does(tmp_path, capsys):
    (tmp_path / "texts.csv").write_text("text,label\na,x\nb,y\n")
    words = ["check", str(DEFAULTS), *preset_arguments("text"), "-S", f"data.source={tmp_path}/texts.csv"]
    assert cli.main(words) == 0
    assert cli.main([*words, "-S", "augment.horizontal_flip=true", "-S", "train.seed=1"]) == 1
    assert "augment.horizontal_flip: this changes images" in capsys.readouterr().err
    for setting, said in (("train.epochs", "expected section.name=value"), ("train.epoch=3", "did you mean train.ep")):
        assert cli.main([*words, "-S", setting]) == 1
        assert said in capsys.readouterr().err


def test_the_demo_of_texts_has_an_example_that_it_was_not_trained_on():
    example = DEMOS["languages"].example
    assert example in (ROOT / "docs/text.md").read_text()
    assert example.strip('"') not in (ROOT / "data/languages.csv").read_text(encoding="utf-8")


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


def test_of_two_servers_at_once_on_one_port_one_is_refused(tmp_path, monkeypatch, capsys):
    """The first holds the lock before its server has the port."""
    port = str(free_port())
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("cct.tracking.ui._bring_in_experiments", lambda: cli.main(["ui", "--port", port]))
    monkeypatch.setattr("cct.tracking.ui.view_path", str)
    monkeypatch.setattr("cct.tracking.ui._serve", lambda *words: 0)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["ui", "--port", port]) == 0
    assert capsys.readouterr().err == f"error: port {port} is not free: make ui PORT=5001, or another\n"


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_a_closed_terminal_end_like_ctrl_c(number):
    code = "import signal, sys; from cct.entry import entry_point\n"
    code += "@entry_point\ndef main():\n  print('ready', flush=True); signal.pause()\nsys.exit(main())"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    words = [
        "env",
        f"--default-signal={number.name.removeprefix('SIG')}",
        sys.executable,
        "-c",
        code,
    ]  # under nohup too
    with subprocess.Popen(words, text=True, **pipes) as run:
        assert run.stdout.readline() == "ready\n"
        run.send_signal(number)
        assert run.wait(HUNG_S) == 130
        assert run.stderr.read() == "interrupted\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_compiled_code_turns_into_an_error_is_still_an_interrupt(number, request, monkeypatch, capsys):
    """As pydantic does while a schema is built, and TensorFlow while it is imported."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background of a shell ignore it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    monkeypatch.setattr("cct.entry.signals", [])

    @entry_point
    def main() -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt as error:
            raise RuntimeError("building failed: KeyboardInterrupt") from error

    assert main() == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_signal_in_a_callback_of_the_interpreter_stops_the_next_experiment(monkeypatch, capsys):
    """Python prints and drops an exception there."""

    class Thing:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    @entry_point
    def main() -> None:
        Thing()  # which ends at once
        print(_done(lambda: "not reached", print, ""))

    monkeypatch.setattr("cct.entry.signals", [])
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: None)
    assert main() == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_nohup_keeps_a_command_running():
    code = "import signal; from cct.entry import entry_point\n"
    code += "@entry_point\ndef main():\n  print(signal.getsignal(signal.SIGHUP).name)\nmain()"
    words = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", code]
    assert subprocess.check_output(words, text=True) == "SIG_IGN\n"


def test_addresses_lose_their_passwords():
    assert redact("http:/me:word@host/x.yaml") == "http:/***@host/x.yaml"  # as a path shows an address
    assert redact("http://host/x#access_token=s3 ?password='s3'") == "http://host/x#access_token=*** ?password=***'"
    for secret in ("me:word", "me:p@ss", "me:pa/ss", "token"):
        assert redact(f"at http://{secret}@host/x and https://a/b@c") == "at http://***@host/x and https://a/b@c"


def test_the_address_of_the_table_of_runs_is_logged_whole():
    """Its parameter has "Key" in its name, as secrets have."""
    address = f"http://127.0.0.1:5000{view_path('1')}"
    assert redact(f"MLflow UI on {address} in a few seconds") == f"MLflow UI on {address} in a few seconds"
    assert redact(f"{address}&key=s3") == f"{address}&key=***"


def test_a_child_process_of_dvc_finds_python_and_an_author(tmp_path, monkeypatch):
    """With nothing activated and no git configuration. This process stays as it is."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    before = dict(os.environ)
    environment = child_environment()
    assert environment["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert environment["GIT_COMMITTER_EMAIL"] == "dvc@localhost" and environment["GIT_AUTHOR_NAME"] == "DVC experiment"
    assert dict(os.environ) == before
    (tmp_path / ".gitconfig").write_text("[user]\n    name = Somebody\n    email = me@example.org\n")
    assert child_environment().keys() - {"PATH", "PYTHONPATH"} == before.keys() - {"PATH", "PYTHONPATH"}


def test_a_child_process_in_a_clone_has_the_author_of_the_repository(make_clone, tmp_path, monkeypatch):
    """A name that only the repository's own configuration has is not in its clones."""
    clone = make_clone()
    monkeypatch.chdir(clone.path)
    for name, value in clone.environment.items():
        monkeypatch.setenv(name, value)
    subprocess.run(["git", "clone", "-q", str(clone.path), str(tmp_path / "second")], check=True)
    assert child_environment(tmp_path / "second")["GIT_AUTHOR_NAME"] == "tests"
    assert "GIT_AUTHOR_NAME" not in child_environment()


def test_nothing_of_this_project_is_in_other_processes():
    """An interpreter of the environment imports nothing of it at its start."""
    code = "import sys; print([name for name in sys.modules if name.split('.')[0] == 'cct'])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
    assert not list(Path(sysconfig.get_path("purelib")).glob("*environment*.pth"))


def test_levels_and_tracebacks(capsys, monkeypatch, tmp_path):
    for name in ("CCT_LOG_LEVEL", "CCT_DEBUG"):
        monkeypatch.setenv(name, "")
    wrong = str(tmp_path / "absent.yaml")
    assert cli.main(["check", wrong]) == 1
    assert capsys.readouterr().err == f"error: cannot read {wrong}: [Errno 2] No such file or directory: '{wrong}'\n"
    assert cli.main(["--debug", "check", wrong]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: cannot read") and "Traceback (most recent call last)" in said
    monkeypatch.setenv("CCT_DEBUG", "")
    monkeypatch.setenv("CCT_LOG_LEVEL", "loud")
    assert cli.main(["check"]) == 1
    assert "CCT_LOG_LEVEL = 'loud': must be one of debug, info, warning, error" in capsys.readouterr().err
    monkeypatch.setenv("CCT_LOG_LEVEL", "info")
    for words, shown in (
        (["-q"], ["warning: two"]),
        ([], ["one", "warning: two"]),
        (["-v"], ["debug: zero", "one", "warning: two"]),
    ):
        assert cli.main([*words, "preset", "--list"]) == 0
        capsys.readouterr()
        logger = logging.getLogger("cct.test")
        logger.debug("zero")
        logger.info("one")
        logger.warning("two")
        out, err = capsys.readouterr()
        assert sorted((out + err).splitlines()) == sorted(shown)
        monkeypatch.setenv("CCT_LOG_LEVEL", "info")


def test_every_command_is_a_module_with_its_help(capsys):
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit) as ended:
            cli.main([name, "--help"])
        assert ended.value.code == 0
        assert f"usage: cct {name}" in capsys.readouterr().out
    modules = {path.stem.replace("_", "-") for path in (ROOT / "src/cct/commands").glob("*.py")}
    assert modules - {"--init--", "arguments"} == set(cli.COMMANDS)


def test_a_closed_output_is_no_error():
    """Nor one that was closed before, so that DVC opened a file to read in its place."""
    for closed in (">&- 2>&-", "1</dev/null 2</dev/null"):
        words = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "cct.cli"]
        for command, code in ((["models"], 0), (["check"], 0), (["check", "absent.yaml"], 1)):
            assert subprocess.run([*words, *command], check=False).returncode == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error():
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "cct.cli", "models"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: [Errno 28] No space left on device\n")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://[::1", "MLFLOW_TRACKING_URI = 'http://[::1' is not an address (Invalid IPv6 URL): unset it, or write"),
        ("http://host:99999999/", "MLflow (http://host:99999999/): "),
        ("nonsense://x", "MLflow (nonsense://x): "),
        (
            "sqlite://",
            "MLFLOW_TRACKING_URI = 'sqlite://' is a store in memory, which ends with each stage: name a file",
        ),
        ("http://\udcff/x", "MLFLOW_TRACKING_URI = "),
    ],
)
def test_an_address_of_a_store_that_is_none_is_refused_in_words(monkeypatch, capsys, uri, words):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert cli.main(["show", "abc"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {words}") and said.count("\n") == 1


def test_a_folder_in_place_of_the_store_is_refused_at_once(tmp_path, monkeypatch, capsys):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "mlflow.db").mkdir()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["show", "abc"]) == 1
    assert "mlflow.db is a folder, and MLflow needs a file there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["verify", "--against", ""], ["show", " "], ["promote", ""]], ids=lambda words: words[0]
)
def test_an_empty_name_names_nothing(words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2 and "it is empty: is a variable of the shell not set?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["models", "--image", "1000000", "32", "3"], "'1000000' is not a whole number from 1 to 4,096"),
        (["models", "--classes", "9" * 5000], f"'{'9' * 40}' is not a whole number from 1 to 1,000,000"),
        (["models", "--classes", "0"], "'0' is not a whole number from 1 to 1,000,000"),
        (["ui", "--port", "65536"], "'65536' is not a whole number from 1 to 65,535"),
    ],
)
def test_a_number_that_is_out_of_bounds_is_refused_with_the_bounds(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2 and capsys.readouterr().err.endswith(f": {said}\n")


def test_an_empty_preset_is_no_list(capsys):
    assert cli.main(["preset", ""]) == 1
    assert capsys.readouterr().out == "--no-such-preset=\n"  # so that `dvc exp run $(cct preset "$X")` fails


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def test_a_pipe_among_the_data_is_refused_before_dvc_reads_it(tmp_path):
    """A pipe without a writer: each of these would wait for ever."""
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copy(DEFAULTS, tmp_path / "params.yaml")
    shutil.copytree(ROOT / "data/sources", tmp_path / "data/sources")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "pretrained").mkdir()
    as_pipe(tmp_path / "pretrained/x.keras")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/x.db"}
    for words in (["cct.cli", "check"], ["cct.cli", "track"], ["cct.cli", "verify"], ["cct.stages", "download"]):
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=HUNG_S,
        )
        assert done.returncode == 1 and done.stderr == (
            "error: pretrained/x.keras is neither a plain file nor a folder: remove it, then run dvc checkout or dvc "
            "repro\n"
        ), words


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (as_pipe, "x.db is not a plain file, and MLflow needs one there"),
        (lambda path: path.symlink_to("/dev/zero"), "x.db is not a plain file, and MLflow needs one there"),
        (
            lambda path: path.write_bytes(b"no database" * 100),
            "x.db cannot be opened as MLflow's store: file is ",
        ),
        (lambda path: path.symlink_to("/proc/x/y.db"), "cannot write into "),
    ],
    ids=["pipe", "device", "text", "nowhere"],
)
def test_a_store_that_cannot_be_one_is_refused_at_once(tmp_path, make, why):
    make(tmp_path / "x.db")
    path = (tmp_path / "x.db").resolve() if why.startswith("cannot write") else tmp_path / "x.db"
    with pytest.raises(CCTError, match=why):
        require_sqlite_file(f"sqlite:///{path}")


def test_a_clock_before_1980_is_refused_before_any_work(monkeypatch, capsys):
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert stages.main(["evaluate"]) == 1
    assert "the clock of this machine says 1970-01-01: set it" in capsys.readouterr().err
