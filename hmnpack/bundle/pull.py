"""Writing a file of the Hugging Face Hub to disk."""

import shutil
from pathlib import Path
from types import ModuleType

from hmnpack.bundle.faults import NotABundle, naming
from hmnpack.bundle.hub import Address, address_of, failures, hub_library, reason_of
from hmnpack.bundle.opened import opened
from hmnpack.bundle.read import checked
from hmnpack.errors import BadSettings
from hmnpack.runtime.output import check_output_path, replacing
from hmnpack.runtime.paths import HUB, AnyPath, path_of

SUFFIX = ".hmn"

_NAMED = 5
"""Maximum number of files that a message names."""


def pull(address: str, output: AnyPath, *, force: bool = False) -> Path:
    """Write a `.hmn` file of the Hugging Face Hub to disk, byte for byte, once it is verified.

    The file is downloaded to the hub's own cache, and taken from there if the hub cannot be
    reached.

    Args:
        address: ``owner/name/file.hmn``, with or without ``hf://``; ``owner/name`` if the
            repository has one `.hmn` file. ``owner/name@revision`` is a branch, a tag or a commit.
        output: Path of the file to write.
        force: Replace an existing file.

    Returns:
        ``output``.

    Raises:
        BadBundle: if the file cannot be fetched, or violates a rule of FORMAT.md.
        BadSettings: if the address is invalid or fits several files, or the path is not writable.
        MissingExtra: if `huggingface_hub` is not installed.
        OutputExists: if the output is a symbolic link or a folder, or exists without ``force``.
    """
    output = path_of(output)
    check_output_path(output, force=force)
    found = address_of(address if address.startswith(HUB) else HUB + address)
    if found is None:
        raise BadSettings(
            f"{address!r} does not name a repository: use owner/name, owner/name/file.hmn or "
            "owner/name@revision/file.hmn"
        )
    library = hub_library("pulling from the Hugging Face Hub")
    file = found if found.file else found.of(_only_file(library, found))
    with naming(str(file)), opened(str(file)) as (content, size):
        checked(content, size, verify=True)
        content.seek(0)
        with replacing(output, force=force) as copy:
            shutil.copyfileobj(content, copy)
    return output


def _only_file(library: ModuleType, repository: Address) -> str:
    """Return the path of the only `.hmn` file of a repository."""
    found = sorted(name for name in _names(library, repository) if name.endswith(SUFFIX))
    if not found:
        raise NotABundle(f"{repository}: the repository has no {SUFFIX} file")
    if len(found) > 1:
        named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
        raise BadSettings(
            f"{repository} has {len(found)} {SUFFIX} files ({named}); name one: "
            f"{repository.of(found[0])}"
        )
    return found[0]


def _names(library: ModuleType, repository: Address) -> list[str]:
    """Return the names of a repository's files; of the cached ones if there is no connection.

    Raises:
        BadBundle: if there is no such repository, or nothing of it in the cache.
    """
    place = {"repo_type": repository.kind, "revision": repository.revision}
    try:
        found = library.HfApi().repo_info(repository.repository, **place)
        return [each.rfilename for each in found.siblings or ()]
    except failures() as error:
        if getattr(error, "response", None) is not None:  # the hub was reached, and refused
            raise NotABundle(f"{repository}: cannot be fetched ({reason_of(error)})") from error
    try:
        folder = library.snapshot_download(
            repository.repository, **place, local_files_only=True, allow_patterns=f"*{SUFFIX}"
        )
    except failures() as error:
        raise NotABundle(f"{repository}: cannot be fetched ({reason_of(error)})") from error
    return [path.relative_to(folder).as_posix() for path in Path(folder).rglob(f"*{SUFFIX}")]
