"""Files of the Hugging Face Hub: ``hf://owner/name/file.hmn``.

An address names a dataset repository, as `hf:owner/name` does, or with ``hf://models/`` one of
models. ``owner/name@revision`` is a branch, a tag or a commit. Files are kept in the cache of
`huggingface_hub`, which is used when the hub cannot be reached.
"""

import re
from pathlib import Path
from urllib.parse import unquote

from hmnpack.bundle.faults import NotABundle
from hmnpack.errors import BadSettings, MissingExtra, first_line
from hmnpack.runtime.paths import HUB

_ADDRESS = re.compile(
    rf"{HUB}((?P<kind>dataset|model)s/)?(?P<repository>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?"
    r"/(?P<file>.+)"
)

_REASONS = {
    "LocalEntryNotFoundError": "the hub cannot be reached, and the file is not in the cache",
    "GatedRepoError": "its repository asks for access: request it, and log in with 'hf auth login'",
    "RepositoryNotFoundError": "there is no such repository, or it is private",
    "RevisionNotFoundError": "the repository has no such revision",
    "EntryNotFoundError": "the repository has no such file",
}
"""Errors of the library that have a meaning here, the most specific first."""


def fetched(address: str) -> Path:
    """Return the path of a file of the hub, downloaded unless the cache has it.

    Raises:
        BadSettings: if the address does not name a file.
        MissingExtra: if `huggingface_hub` is not installed.
        BadBundle: if the file cannot be fetched.
    """
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise BadSettings(
            f"{address!r} does not name a file: use {HUB}owner/name/file.hmn, or "
            f"{HUB}owner/name@revision/file.hmn"
        )
    try:
        import huggingface_hub  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra.of("reading from the Hugging Face Hub", "hub") from error
    try:
        path = huggingface_hub.hf_hub_download(
            parts["repository"],
            parts["file"],
            repo_type=parts["kind"] or "dataset",
            revision=unquote(parts["revision"]) if parts["revision"] else None,
        )
    except (OSError, ValueError) as error:
        raise NotABundle(f"cannot be fetched ({_reason(error)})") from error
    return Path(path)


def _reason(error: Exception) -> str:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return next((said for name, said in _REASONS.items() if name in kinds), first_line(error))
