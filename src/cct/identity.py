"""Lets `dvc exp run` work where git has no user name: DVC refuses, because an experiment is a commit.

`make setup` has every Python of the environment import this at start. Only for DVC, and only for what git does not
know, it puts a name into that process's environment. Git's configuration and the user's own commits stay as they are.
"""

import os
import subprocess
import sys

FALLBACK = {"name": "DVC experiment", "email": "dvc@localhost"}


def lend(environ: dict[str, str]) -> None:
    """Add the author and committer that git does not know to `environ`."""
    for field, value in FALLBACK.items():
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
    lend(os.environ)
