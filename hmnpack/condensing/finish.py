"""The end of a run: its result is written, or kept until it can be."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hmnpack.bundle import Bundle
from hmnpack.bundle.checks import manifest_text, parse_manifest
from hmnpack.condensing.checkpoint import Checkpoint
from hmnpack.errors import HmnError, OutputExists

FINISHED = "finished"
"""Stage of a checkpoint that holds the finished result."""


def finished(checkpoint: Checkpoint | None) -> Bundle | None:
    """Return the result that a checkpoint holds; None if the run is not finished."""
    state = checkpoint.state if checkpoint is not None else None
    if state is None or state["stage"] != FINISHED:
        return None
    return Bundle(parse_manifest(state["manifest"]), dict(state["tensors"]))


def write_result(
    bundle: Bundle, output: Path, checkpoint: Checkpoint, *, force: bool, spare: Path
) -> None:
    """Write the result of a run and remove its checkpoint; otherwise keep the result.

    The result is kept in the run's checkpoint: beside the output, or where there is room for it.

    Args:
        bundle: The result.
        output: The file to write.
        checkpoint: The run's checkpoint.
        force: Replace an existing output.
        spare: A folder for the checkpoint if the output's folder cannot hold it.

    Raises:
        OutputExists: if the output exists by now; the message says where the result is, and how to
            write it.
        BadSettings: if the output cannot be written; the same.
    """
    try:
        bundle.save(output, force=force)
    except HmnError as error:
        kept = _kept(bundle, checkpoint, spare)
        reason = str(error).partition(";")[0]
        raise type(error)(f"{reason}; {_advice(error, output, checkpoint, kept)}") from error
    except BaseException:  # an interruption
        _kept(bundle, checkpoint, spare)
        raise
    checkpoint.clear()


def _kept(bundle: Bundle, checkpoint: Checkpoint, spare: Path) -> Path | None:
    """Keep a result in the first place that can hold it, and return its path."""
    text = manifest_text(bundle.manifest)
    for path in _places(checkpoint.path, spare):
        with contextlib.suppress(HmnError, OSError):
            copy = Checkpoint(path)
            copy.key = checkpoint.key
            copy.write(stage=FINISHED, step=0, manifest=text, tensors=bundle.tensors)
            return path
    return None


def _places(path: Path, spare: Path) -> Iterator[Path]:
    yield path
    for folder in (spare, Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            own = Path(tempfile.mkdtemp(prefix="finished-", dir=folder))
            yield own / path.name
            own.rmdir()  # nothing could be written into it


def _advice(error: HmnError, output: Path, checkpoint: Checkpoint, kept: Path | None) -> str:
    """Return where the result is, and the command that writes it."""
    if kept is None:
        again = "; its last checkpoint is intact: repeat the command with --resume"
        lost = "the finished result cannot be kept in another folder either"
        return lost + (again if checkpoint.path.exists() else "")
    where = f"the finished result is kept in {kept}"
    if kept != checkpoint.path:
        return (
            f"{where}: make room, move it to {checkpoint.path} and repeat the command with --resume"
        )
    if not isinstance(error, OutputExists):
        return f"{where}: mend this and repeat the command with --resume"
    replace = ", or with --resume --force to replace it" if output.is_file() else ""
    return f"{where}: move {output} away and repeat the command with --resume{replace}"
