"""The folders of one case, and what is found in them afterwards."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Snapshot = dict[str, tuple[object, ...]]


@dataclass(frozen=True)
class Places:
    """The folders of one case.

    Attributes:
        root: Holds all others.
    """

    root: Path

    @property
    def given(self) -> Path:
        """What the generator writes, which nothing may change."""
        return self.root / "given"

    @property
    def out(self) -> Path:
        """The only folder in which outputs are named."""
        return self.root / "out"

    @property
    def cache(self) -> Path:
        """The cache, the only place where anything may remain unasked."""
        return self.root / "cache"

    @property
    def bare(self) -> tuple[Path, Path, Path]:
        """Working folder, temporary folder and home, in which nothing may remain."""
        return self.root / "here", self.root / "tmp", self.root / "home"


@contextmanager
def entered(root: Path) -> Iterator[Places]:
    """Make the folders of a case and work in them: cache, home, temporary and working folder."""
    places = Places(root)
    here, temporary, home = places.bare
    for folder in (places.given, places.out, places.cache, here, temporary, home):
        folder.mkdir(parents=True)
    changes = {"HMNPACK_CACHE": places.cache, "HOME": home, "TMPDIR": temporary}
    before = {name: os.environ.get(name) for name in changes}
    back, kept = Path.cwd(), tempfile.tempdir
    os.environ.update({name: str(path) for name, path in changes.items()})
    os.chdir(here)
    tempfile.tempdir = str(temporary)
    try:
        yield places
    finally:
        tempfile.tempdir = kept
        os.chdir(back)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def snapshot(folder: Path) -> Snapshot:
    """Return mode, size, time and content of everything below a folder, by path."""
    found: Snapshot = {}
    for directory, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(directory, name)
            facts = path.lstat()
            kind = (facts.st_mode, facts.st_size, facts.st_mtime_ns)
            found[str(path.relative_to(folder))] = (*kind, _content(path, facts.st_mode))
    return found


def _content(path: Path, mode: int) -> object:
    if stat.S_ISLNK(mode):
        return str(path.readlink())
    return hashlib.sha256(path.read_bytes()).digest() if stat.S_ISREG(mode) else None


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """Return one fault for each path that appeared, vanished or changed."""
    return [
        f"the input was changed: {name!r}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def leftovers(places: Places) -> list[str]:
    """Return one fault for each file in a folder that must be empty, and each hidden output."""
    faults = [
        f"left behind: {path.relative_to(places.root)}"
        for folder in places.bare
        for path in sorted(folder.iterdir())
        if not path.name.startswith("torchinductor_")  # torch's own cache
    ]
    hidden = [
        path
        for folder in (places.out, places.cache)
        for path in folder.rglob("*")
        if path.name.startswith(".hmnpack-") or path.name.startswith("tmp")
    ]
    return faults + [f"left behind: {path.relative_to(places.root)}" for path in hidden]
