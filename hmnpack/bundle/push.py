"""Publishing a file in a dataset repository of the Hugging Face Hub, with a card."""

import re
import shutil
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from hmnpack.bundle.card import Entry, card_of
from hmnpack.bundle.faults import naming
from hmnpack.bundle.hub import hub_library
from hmnpack.bundle.opened import name_of_file, path_in
from hmnpack.bundle.pull import SUFFIX
from hmnpack.bundle.read import checked
from hmnpack.bundle.repository import commit_files
from hmnpack.errors import BadSettings, OutputExists
from hmnpack.runtime.output import check_name, check_parent, sibling_of, write_atomically
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.schema.manifest import Manifest

CARD = "README.md"

_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.hmn")
"""Names that need no quoting in addresses, commands and cards."""

_REPOSITORY = re.compile(r"(?!.*(--|\.\.|\.git$))\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")


@dataclass(frozen=True)
class Push:
    """What a push did, or would do.

    Attributes:
        address: Address of the file on the hub: ``hf://owner/name@commit/file.hmn``, without the
            commit in a dry run.
        files: Name in the repository -> content.
    """

    address: str
    files: dict[str, bytes]


def push(
    file: AnyPath,
    repository: str,
    *,
    license: str,
    private: bool = False,
    force: bool = False,
    dry_run: AnyPath | None = None,
) -> Push:
    """Publish a `.hmn` file in a dataset repository of the Hugging Face Hub, with a card.

    The card, `README.md`, is made from the manifest: budget, scores with baselines, source, how to
    load the file. The repository is created if it does not exist. The access token is that of
    `huggingface_hub`: `hf auth login`, or HF_TOKEN. File and card are pushed in one commit, or
    nothing is. A repository that holds them already is left as it is.

    Args:
        file: Path of the `.hmn` file, which keeps its name.
        repository: ``owner/name``.
        license: Licence of the dataset that the file was made from, as the hub's identifier:
            ``mit``, ``cc-by-4.0``, ``other``; ``unknown`` if its authors state none.
        private: Create the repository as a private one.
        force: Push to a repository with other files, and replace a different file of the same name
            and a different card. Other files are never removed. Of a dry run: write into a folder
            that is not empty.
        dry_run: Folder to write exactly what would be pushed to, without contacting the hub.

    Raises:
        BadBundle: if the file violates a rule of FORMAT.md.
        BadSettings: if the name of the file, the repository or the licence is invalid, or the
            folder is not writable.
        MissingExtra: if `huggingface_hub` is not installed.
        OutputExists: if the repository, or the folder of a dry run, has other files and ``force``
            is not given.
        PushFails: if there is no token, or the hub cannot be reached or does not accept the push.
    """
    library = hub_library("pushing to the Hugging Face Hub")
    _check_words(repository, license)
    name, data, manifest = _verified(file)
    entry = Entry(manifest, repository, name, len(data), license)
    files = {name: data, CARD: card_of(entry).encode()}
    if dry_run is not None:
        _write(files, path_of(dry_run), force)
        return Push(entry.address, files)
    commit = commit_files(library, repository, files, private=private, force=force)
    return Push(f"{entry.address.removesuffix(f'/{name}')}@{commit}/{name}", files)


def _check_words(repository: str, license: str) -> None:
    if not _LICENSE.fullmatch(license):
        raise BadSettings(
            f"license {license!r} is not an identifier of the hub; use mit, cc-by-4.0, other, "
            "unknown or another that it lists"
        )
    if not _REPOSITORY.fullmatch(repository):
        raise BadSettings(
            f"repository {repository!r} is not of the form owner/name, of letters, digits, single "
            "'-' and '.', and '_'"
        )


def _verified(file: AnyPath) -> tuple[str, bytes, Manifest]:
    """Return the name, the content and the manifest of a file, after checking its hashes."""
    path = path_in(file)
    if path is None or not _FILE.fullmatch(path.name):
        raise BadSettings(
            f"{name_of_file(file)} cannot keep its name on the hub: give the path of a file with a "
            f"name of letters, digits, '.', '_' and '-' that ends in {SUFFIX}"
        )
    with naming(str(path)):
        data = path.read_bytes()
        return path.name, data, checked(BytesIO(data), len(data), verify=True)


def _write(files: dict[str, bytes], folder: Path, force: bool) -> None:
    """Write files into a folder: all at once into a new one, one by one into one with others."""
    check_name(folder)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise OutputExists(f"{folder} is not a folder; name a new one")
    check_parent(folder)
    if folder.is_dir() and any(folder.iterdir()):
        if not force:
            raise OutputExists(
                f"{folder} is not empty; name another folder, or use force (--force)"
            )
        for name, data in files.items():
            write_atomically(folder / name, data, force=True)
        return
    new = sibling_of(folder)
    try:
        new.mkdir()
        for name, data in files.items():
            (new / name).write_bytes(data)
        new.rename(folder)
    except OSError as error:
        raise BadSettings(f"cannot write {folder} ({error.strerror or error})") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
