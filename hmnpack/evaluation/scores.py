"""Scores in a file: what an evaluation found is written into the manifest of what it judged."""

import contextlib
import os
import platform
import stat
from collections.abc import Iterator
from pathlib import Path

import torch
import torchvision

from hmnpack.bundle import Bundle, read
from hmnpack.bundle.faults import HeaderTooLarge
from hmnpack.errors import BadSettings, OutputExists
from hmnpack.evaluation.run import Evaluation
from hmnpack.runtime.devices import choose_device, low_precision
from hmnpack.runtime.output import check_output_path, replacing
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.result import Row
from hmnpack.schema.score import BaselineScore, Score, Versions
from hmnpack.version import __version__


def record(
    path: str | Path,
    bundle: Bundle,
    evaluation: Evaluation,
    *,
    device: str | torch.device = "auto",
) -> Manifest:
    """Write an evaluation of a file's bundle into the file.

    The stored tensors, and the file's mode, stay as they are. So do the scores that are there,
    also those which came while the evaluation ran, but for one with the same protocol (the seed
    and the number of networks belong to it) and the same test split: the new score takes its
    place, as the last.

    Args:
        path: The file.
        bundle: What was evaluated: what the file held then.
        evaluation: What ``evaluate`` found, in this process: versions are those that run here.
        device: The device that it was given.

    Returns:
        The manifest that the file now has.

    Raises:
        BadSettings: if the file cannot be written, or its header has no room left.
        OutputExists: if the file no longer holds what was evaluated.
        BadBundle: if it is no whole bundle any more.
    """
    path = Path(path)
    check_recordable(path)
    score = recorded_score(evaluation, choose_device(device))
    with _one_at_a_time(path.parent):
        now = read(path)
        if _judged(now.manifest) != _judged(bundle.manifest):
            raise OutputExists(
                f"{path} has changed since it was read, so the score is of another bundle and was "
                "not recorded; evaluate it again"
            )
        manifest = with_score(now.manifest, score)
        _replace(path, Bundle(manifest, now.tensors))
    return manifest


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait for other processes that record in a folder: of two at once one would be lost."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(ImportError, OSError):  # not every system locks folders
            import fcntl  # noqa: PLC0415 - Unix has it

            place = os.open(folder, os.O_RDONLY)
            held.callback(os.close, place)
            fcntl.flock(place, fcntl.LOCK_EX)
        yield


def check_recordable(path: str | Path) -> None:
    """Check, before minutes of training, that a score may be written into a file.

    Raises:
        OutputExists: if it is a symbolic link or no regular file.
        BadSettings: if the file or its folder may not be written.
    """
    path = Path(path)
    check_output_path(path, force=True)
    if not os.access(path, os.W_OK):
        raise BadSettings(
            f"{path} may not be written, so no score can be recorded; change its mode, or copy it"
        )


def recorded_score(evaluation: Evaluation, device: torch.device) -> Score:
    """Return the score of an evaluation with what it ran on, and the baselines beside it."""
    precision = evaluation.config.train.precision
    return evaluation.score.model_copy(
        update={
            "versions": Versions(
                hmnpack=__version__,
                torch=str(torch.__version__),
                torchvision=str(torchvision.__version__),
                python=platform.python_version(),
            ),
            "device": device.type,
            "arithmetic": "bfloat16" if low_precision(device, precision) else "float32",
            "baselines": tuple(_baseline(row) for row in evaluation.rows[1:]),
        }
    )


def with_score(manifest: Manifest, score: Score) -> Manifest:
    """Return the manifest with one more score, in place of one of its protocol and test split."""

    def identity(one: Score) -> tuple[object, ...]:
        return one.protocol, one.config, one.network, one.seed, len(one.accuracies), one.fingerprint

    others = (one for one in manifest.scores if identity(one) != identity(score))
    return manifest.model_copy(update={"scores": (*others, score)})


def _judged(manifest: Manifest) -> Manifest:
    """Return everything that an evaluation may depend on."""
    return manifest.model_copy(update={"scores": ()})


def _baseline(row: Row) -> BaselineScore:
    return BaselineScore(
        name=row.name,
        images=row.images,
        mean=row.accuracy_mean,
        std=row.accuracy_std,
        networks=row.networks,
    )


def _replace(path: Path, bundle: Bundle) -> None:
    try:
        data = bundle.to_bytes()
    except HeaderTooLarge as error:
        raise BadSettings(
            f"{path}: there is no room for this score in the header, which has 1 MiB at most; "
            "keep it as a file of its own (--save)"
        ) from error
    mode = stat.S_IMODE(path.stat().st_mode)
    with replacing(path, force=True) as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
