"""Files of the Hugging Face Hub: ``hf://owner/name/file.hmn``.

An address names a dataset repository, as `hf:owner/name` does, or with ``hf://models/`` one of
models. ``owner/name@revision`` is a branch, a tag or a commit. Files are kept in the cache of
`huggingface_hub`, which is used when the hub cannot be reached.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from urllib.parse import quote, unquote

from hmnpack.bundle.faults import NotABundle
from hmnpack.errors import BadSettings, MissingExtra, one_line
from hmnpack.runtime.paths import HUB

_ADDRESS = re.compile(
    rf"{HUB}((?P<kind>dataset|model)s/)?(?P<repository>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?"
    r"(/(?P<file>.+))?"
)

_REASONS = {
    "LocalEntryNotFoundError": "the hub cannot be reached, and the file is not in the cache",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE forbids it; unset it",
    "GatedRepoError": "its repository asks for access: request it, and log in with 'hf auth login'",
    "RepositoryNotFoundError": "there is no such repository, or it is private",
    "RevisionNotFoundError": "the repository has no such revision",
    "EntryNotFoundError": "the repository has no such file",
}
"""Errors of the library that have a meaning here, the most specific first."""

_STATUS = {
    401: "the token is not valid: log in with 'hf auth login'",
    403: "the token does not have the right: use one with write access to the owner's repositories",
    409: "the repository exists, or has changed meanwhile: run the command again",
    412: "the repository has changed meanwhile: run the command again",
}
"""Answers of the hub that have a meaning here, by status."""


@dataclass(frozen=True)
class Address:
    """A file on the hub, or a repository.

    Attributes:
        kind: Kind of the repository: ``dataset`` or ``model``.
        repository: Its name, ``owner/name``.
        revision: Branch, tag or commit; None: the main branch.
        file: Path of the file in the repository; None: not named.
    """

    kind: str
    repository: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        """Return the address as :func:`address_of` reads it."""
        kind = "models/" if self.kind == "model" else ""
        revision = f"@{quote(self.revision, safe='')}" if self.revision else ""
        file = f"/{self.file}" if self.file else ""
        return f"{HUB}{kind}{self.repository}{revision}{file}"

    def of(self, file: str) -> "Address":
        """Return the address of a file of the repository."""
        return replace(self, file=file)


def address_of(text: str) -> Address | None:
    """Return the parts of an address; None if it does not name a repository."""
    parts = _ADDRESS.fullmatch(text)
    if parts is None:
        return None
    revision = unquote(parts["revision"]) if parts["revision"] else None
    return Address(parts["kind"] or "dataset", parts["repository"], revision, parts["file"])


def hub_library(need: str) -> ModuleType:
    """Return the module `huggingface_hub`.

    Args:
        need: What it is for, as the subject of an error.

    Raises:
        MissingExtra: if it is not installed.
    """
    try:
        import huggingface_hub  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra.of(need, "hub") from error
    return huggingface_hub


def fetched(address: str) -> Path:
    """Return the path of a file of the hub, downloaded unless the cache has it.

    Raises:
        BadSettings: if the address does not name a file.
        MissingExtra: if `huggingface_hub` is not installed.
        BadBundle: if the file cannot be fetched.
    """
    found = address_of(address)
    if found is None or found.file is None:
        raise BadSettings(
            f"{address!r} does not name a file: use {HUB}owner/name/file.hmn, or "
            f"{HUB}owner/name@revision/file.hmn"
        )
    library = hub_library("reading from the Hugging Face Hub")
    try:
        path = library.hf_hub_download(
            found.repository, found.file, repo_type=found.kind, revision=found.revision
        )
    except failures() as error:
        raise NotABundle(f"cannot be fetched ({reason_of(error)})") from error
    return Path(path)


def failures() -> tuple[type[Exception], ...]:
    """Return the classes of errors by which the library reports that a request failed."""
    from huggingface_hub import errors  # noqa: PLC0415 - an extra

    return (OSError, ValueError, getattr(errors, "HTTPError", OSError))


def reason_of(error: Exception) -> str:
    """Return why a request failed, on one line."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = int(getattr(getattr(error, "response", None), "status_code", 0))
    known = next((said for name, said in _REASONS.items() if name in kinds), _STATUS.get(status))
    if known:
        return known
    if status >= 500:
        return f"the hub answered {status}: try again later"
    if "TransportError" in kinds or isinstance(error, ConnectionError):
        return f"the hub cannot be reached: {_said(error)}"
    return _said(error)


def _said(error: Exception) -> str:
    """Return an error's message: of those about values all lines, else the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ".join(lines if isinstance(error, ValueError) else lines[:1])
    return one_line(said).rstrip(" :.") or type(error).__name__
