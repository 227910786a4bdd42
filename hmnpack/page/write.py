"""Writing a report from a bundle, a log and a result file, or a gallery from a folder."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from hmnpack.bundle import Bundle, read
from hmnpack.bundle.opened import AnyFile, path_in
from hmnpack.errors import BadSettings
from hmnpack.page.decoding import gallery_of
from hmnpack.page.document import Evidence, page_of
from hmnpack.page.events import read_log
from hmnpack.page.overview import overview_of
from hmnpack.page.shelf import shelf_of
from hmnpack.runtime.output import check_distinct, check_output_path, write_atomically
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.audit import AuditResult
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.result import Result

Model = TypeVar("Model", bound=BaseModel)

ENDINGS = (".html", ".htm")


@with_torch_defaults
def report(
    bundle: AnyFile | Bundle,
    out: AnyPath,
    *,
    log: AnyPath | None = None,
    result: AnyPath | None = None,
    audit: AnyPath | None = None,
    force: bool = False,
) -> Path:
    """Write an HTML report of a bundle: budget, scores, images, margins, provenance.

    Of a folder, write a gallery: a table, images and the scores of all `.hmn` files in it, with
    links to the reports beside them. Files that cannot be read are listed with the reason.

    The page is a single self-contained file, and identical for equal input.

    Args:
        bundle: A `.hmn` file, a bundle, or a folder of `.hmn` files.
        out: Path of the report, ending in ``.html``.
        log: Log of the run that made the bundle (JSON lines), for the curves; not of a folder.
        result: Result file of an evaluation, as written by ``hmnpack evaluate --save``; not of a
            folder.
        audit: Result file of an audit, as written by ``hmnpack audit --save``; not of a folder.
        force: Replace an existing file.

    Returns:
        ``out``.

    Raises:
        BadBundle: if the file violates a rule of FORMAT.md.
        OutputExists: if ``out`` is a symbolic link or a folder, or exists without ``force``.
        BadSettings: if ``out`` does not end in .html, the log is invalid, the result is invalid or
            belongs to another bundle, or a folder has no `.hmn` file.
    """
    out = path_of(out)
    if out.suffix.lower() not in ENDINGS:
        raise BadSettings(f"{out}: a report is an HTML file; name it {out.name}.html")
    check_output_path(out, force=force)
    if not isinstance(bundle, Bundle):
        file = path_in(bundle)
        if file is not None and file.is_dir():
            return _gallery(file, out, of_one=log or result or audit, force=force)
        if file is not None:
            check_distinct(out, file, "the bundle itself")
        bundle = read(bundle)
    evidence = Evidence(
        manifest=bundle.manifest,
        gallery=gallery_of(bundle),
        log=None if log is None else read_log(log),
        result=None if result is None else read_result(result, bundle.manifest),
        audit=None if audit is None else read_audit(audit, bundle.manifest),
    )
    write_atomically(out, page_of(evidence).encode(), force)
    return out


def _gallery(folder: Path, out: Path, *, of_one: AnyPath | None, force: bool) -> Path:
    """Write the gallery of a folder; see :func:`report`."""
    if of_one is not None:
        raise BadSettings(f"{folder} is a folder: a log, a result or an audit belongs to one file")
    write_atomically(out, overview_of(shelf_of(folder, out)).encode(), force)
    return out


def read_result(path: AnyPath, manifest: Manifest) -> Result:
    """Read the result file of an evaluation of a bundle.

    Raises:
        BadSettings: if the file is invalid, or belongs to another bundle.
    """
    result = _parsed(path, Result, "evaluate")
    if result.accuracy_mean is None:
        raise BadSettings(
            f"{path_of(path)} is the result of {result.name!r}, which has no accuracy"
        )
    _check_is_of(path, result.figures.get("bundle_data_sha256"), manifest)
    return result


def read_audit(path: AnyPath, manifest: Manifest) -> AuditResult:
    """Read the result file of an audit of a bundle.

    Raises:
        BadSettings: if the file is invalid, or belongs to another bundle.
    """
    result = _parsed(path, AuditResult, "audit")
    _check_is_of(path, result.bundle_data_sha256, manifest)
    return result


def _parsed(given: AnyPath, model: type[Model], command: str) -> Model:
    path = path_of(given)
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadSettings(f"{path} cannot be read ({error.strerror or error})") from error
    except ValidationError as error:
        raise BadSettings(f"{path} is not a result file written by {command} --save") from error


def _check_is_of(path: AnyPath, of: object, manifest: Manifest) -> None:
    if of is not None and of != manifest.data_sha256:
        raise BadSettings(f"{path_of(path)} is the result of another bundle (its sha256 differs)")
