"""The digests in `dvc.lock` of the files that the stages wrote."""

import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

from cct.errors import CCTError
from cct.files import require_file_or_folder
from cct.params import read_yaml
from cct.paths import DVC_LOCK
from cct.repository import git, repository_root


def dvc_digest(path: Path) -> str:
    """The digest that DVC gives a file or a folder.

    A file's digest is its md5. A folder's digest is the md5 of the list of its files, followed by `.dir`. Files that
    match the current folder's `.dvcignore` are left out.

    Raises:
        OSError: a file cannot be read.
        CCTError: it is a device or a pipe, which may have no end.
    """
    require_file_or_folder(path)
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    files = sorted((file.relative_to(path).as_posix(), file) for file in files_in(path))
    listed = [{"md5": dvc_digest(file), "relpath": name} for name, file in files]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


def files_in(folder: Path) -> Iterator[Path]:
    """All files in a folder except those that DVC ignores."""
    rules = Path(".dvcignore")
    ignored = GitIgnoreSpec.from_lines(rules.read_text("utf-8").splitlines() if rules.is_file() else [])
    return (file for file in folder.rglob("*") if file.is_file() and not ignored.match_file(file))


def locked_stages(top: Path = Path()) -> dict[str, Any]:
    """The stages in `dvc.lock`; empty if there is no such file."""
    return read_yaml(top / DVC_LOCK).get("stages", {}) if (top / DVC_LOCK).is_file() else {}


def locked_outputs(top: Path = Path()) -> dict[str, str]:
    """The digest of each output in `dvc.lock`, by its path."""
    return output_digests(locked_stages(top))


def output_digests(stages: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each output, by its path, from the stages of a `dvc.lock`."""
    outs = (out for stage in stages.values() for out in stage.get("outs", []))
    return {out["path"]: out["md5"] for out in outs if "md5" in out}


def require_as_locked(digests: Mapping[Path, str], locked: Mapping[str, str], *, revision: str = "") -> None:
    """Refuse files that differ from the outputs of the stages.

    Args:
        digests: digests by path, relative to the folder of `dvc.lock`. Paths that `locked` does not have are not
            compared.
        locked: as `locked_outputs` returns them.
        revision: the commit or experiment that the files were fetched from; empty if they are in the work tree.

    Raises:
        CCTError: a file differs; the message names the first one and the remedy.
    """
    for path, found in digests.items():
        written = locked.get(str(path), found)
        if found != written:
            name = f"{path} of {revision}" if revision else path
            remedy = _remedy_in_cache(written) if revision else _remedy(path, written)
            raise CCTError(
                f"{name} is not what its stage wrote: its md5 is {found}, but {written} in dvc.lock. {remedy}"
            )


def is_committed(digests: Sequence[str]) -> bool:
    """Whether DVC holds outputs with these digests: its cache has them, and a `dvc.lock` names them.

    The lock file may be in the work tree, in the folder of this process, or in a branch, tag or experiment.
    """
    named = [set(locked_outputs(folder).values()) for folder in {Path.cwd(), repository_root()}]
    if not any(set(digests) <= values for values in named) and not _in_commits(digests):
        return False
    cache = cache_folder()
    return all(cached_file(cache, digest).is_file() for digest in digests)


def cache_folder() -> Path:
    """DVC's cache for this folder."""
    words = [sys.executable, "-m", "dvc", "cache", "dir"]
    return Path(subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or ".dvc/cache")


def cached_file(cache: Path, digest: str) -> Path:
    """The path of a digest in DVC's cache, whether or not the file exists."""
    return cache / "files" / "md5" / digest[:2] / digest[2:]


def _cached_copies(digest: str) -> tuple[list[Path], list[Path]]:
    """The files in DVC's cache of an output with this digest: those that it should have, and the damaged ones."""
    cache = cache_folder()
    listing = cached_file(cache, digest)
    copies = {listing: digest.removesuffix(".dir")}
    try:
        if digest.endswith(".dir"):
            copies |= {cached_file(cache, entry["md5"]): entry["md5"] for entry in json.loads(listing.read_bytes())}
    except (OSError, ValueError, KeyError, TypeError):  # the list is absent or damaged
        pass
    return list(copies), [copy for copy, md5 in copies.items() if copy.is_file() and dvc_digest(copy) != md5]


def _remedy_in_cache(digest: str) -> str:
    """The remedy for a file that was fetched. The work tree has files of another run, which are not the cause."""
    _, damaged = _cached_copies(digest)
    if damaged:
        return (
            "DVC's cache is damaged. Run this, then dvc fetch (where there is a remote) or the experiment again: "
            f"rm -rf {shlex.join(map(str, damaged))}"
        )
    return "Its commit, or DVC's remote, has a wrong file: track another commit, or run the experiment again"


def _remedy(path: Path, digest: str) -> str:
    """The commands that bring back a file with the digest `digest`, from DVC's cache where it has the file whole."""
    copies, damaged = _cached_copies(digest)
    whole = not damaged and all(copy.is_file() for copy in copies)
    if whole:
        return f"Run dvc checkout --force {shlex.quote(str(path))} to restore it, or dvc commit to accept the change"
    why = "DVC's cache is damaged" if damaged else "DVC's cache does not have it"
    return (
        f"{why}. Run this, then dvc pull (where there is a remote) or dvc repro: rm -rf "
        f"{shlex.join(map(str, (path, *damaged)))}"
    )


def _in_commits(digests: Sequence[str]) -> bool:
    """Whether the `dvc.lock` of a branch, a tag or an experiment has the digests."""
    top = repository_root()
    commits = git(top, "for-each-ref", "--format=%(objectname)", "refs/exps/", "refs/heads/", "refs/tags/").split()
    found = (
        git(top, "grep", "--files-with-matches", "-F", digest, *commits, "--", str(DVC_LOCK)) for digest in digests
    )
    return bool(commits) and all(found)
