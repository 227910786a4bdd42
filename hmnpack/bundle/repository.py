"""Writing files into a repository of the Hugging Face Hub, in one commit."""

import hashlib
from types import ModuleType
from typing import Any

from hmnpack.bundle.hub import failures, reason_of
from hmnpack.errors import BadSettings, OutputExists, PushFails

_OF_THE_HUB = frozenset({".gitattributes"})
"""Files that the hub itself writes into a new repository."""

_NAMED = 3
"""Maximum number of files that a message names."""


def commit_files(
    library: ModuleType, repository: str, files: dict[str, bytes], *, private: bool, force: bool
) -> str:
    """Write files into a dataset repository in one commit, or nothing if it has them already.

    Args:
        library: The module `huggingface_hub`.
        repository: Name of the repository, which is created if it does not exist.
        files: Name in the repository -> content.
        private: Create the repository as a private one.
        force: Accept other files in the repository, and replace different ones of the same names.

    Returns:
        The name of the commit; of the last one if there was nothing to write.

    Raises:
        BadSettings: if the repository is public and ``private`` is given.
        OutputExists: if the repository has other files and ``force`` is not given.
        PushFails: if there is no token, or the hub cannot be reached or does not accept the files.
    """
    if library.get_token() is None:
        raise PushFails("no access token: log in with 'hf auth login', or set HF_TOKEN")
    api = library.HfApi()
    try:
        present = _present(api, repository)
        if present is not None:
            _check_present(repository, present, files, private=private, force=force)
            if all(_is_same(present, name, data) for name, data in files.items()):
                return str(present.sha)
        else:
            api.create_repo(repository, repo_type="dataset", private=private or None)
        operations = [library.CommitOperationAdd(name, data) for name, data in files.items()]
        done = api.create_commit(
            repository,
            operations,
            commit_message=f"Add {next(iter(files))}, made by hmnpack",
            repo_type="dataset",
            parent_commit=None if present is None else present.sha,
        )
    except failures() as error:
        raise PushFails(f"cannot push to {repository} ({reason_of(error)})") from error
    return str(done.oid)


def _present(api: Any, repository: str) -> Any:  # noqa: ANN401
    """Return what the hub knows of a repository and its files; None if there is none."""
    from huggingface_hub import errors  # noqa: PLC0415 - an extra

    try:
        return api.repo_info(repository, repo_type="dataset", files_metadata=True)
    except errors.GatedRepoError:
        raise
    except errors.RepositoryNotFoundError:
        return None


def _check_present(
    repository: str,
    present: Any,  # noqa: ANN401
    files: dict[str, bytes],
    *,
    private: bool,
    force: bool,
) -> None:
    """Check that a push to an existing repository replaces and joins nothing unasked."""
    if private and not present.private:
        raise BadSettings(f"{repository} exists and is public; make it private on the hub first")
    if force:
        return
    names = {each.rfilename for each in present.siblings or ()} - _OF_THE_HUB
    changed = sorted(
        name for name, data in files.items() if name in names and not _is_same(present, name, data)
    )
    foreign = sorted(names - set(files))
    for found, said in ((changed, "a different"), (foreign, "other files:")):
        if found:
            named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
            raise OutputExists(
                f"{repository} has {said} {named}; name another repository, or use force (--force) "
                f"to replace {' and '.join(sorted(files))} there and leave its other files"
            )


def _is_same(present: Any, name: str, data: bytes) -> bool:  # noqa: ANN401
    """Return whether a repository has this content under a name, by the hashes that it states."""
    for each in present.siblings or ():
        if each.rfilename == name:
            if each.lfs is not None:
                return bool(each.lfs.sha256 == hashlib.sha256(data).hexdigest())
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # as git hashes files
            return bool(each.blob_id == blob)
    return False
