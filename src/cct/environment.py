"""Lets DVC run where nothing was activated and git knows no user.

`make setup` has every Python of the environment import this at start; it does something for DVC alone. Stages find the
environment's `python` first on the path. And because an experiment is a commit, which DVC refuses to make without an
author, that process is lent what git does not know: git's configuration and the user's own commits stay as they are.
"""

import os
import subprocess
import sys

AUTHOR = {"name": "DVC experiment", "email": "dvc@localhost"}


def prepare(environ: dict[str, str]) -> None:
    """Add to `environ` what a process of DVC's needs."""
    folder = os.path.dirname(sys.executable)
    if folder not in environ.get("PATH", "").split(os.pathsep)[:1]:
        environ["PATH"] = os.pathsep.join(filter(None, [folder, environ.get("PATH")]))
    for field, value in AUTHOR.items():
        variables = [f"GIT_{role}_{field.upper()}" for role in ("AUTHOR", "COMMITTER")]
        if all(variable in environ for variable in variables):
            continue
        try:
            known = subprocess.run(["git", "config", f"user.{field}"], capture_output=True, check=False).returncode == 0
        except OSError:
            return
        if not known:
            for variable in variables:
                environ.setdefault(variable, value)


# The site module imports this before sys.argv exists.
if any(os.path.basename(argument) == "dvc" for argument in sys.orig_argv[1:3]):
    prepare(os.environ)
