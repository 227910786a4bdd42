"""Records an evaluation as a score in the manifest of the evaluated file."""

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
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.result import Row
from hmnpack.schema.score import BaselineScore, Score, Versions
from hmnpack.version import __version__


def record(
    path: AnyPath,
    bundle: Bundle,
    evaluation: Evaluation,
    *,
    device: str | torch.device = "auto",
) -> Manifest:
    """Write an evaluation of a file's bundle into the file.

    The stored tensors and the file's mode do not change. The scores already in the file are
    preserved, including those added during the evaluation. A score with the same protocol
    (including seed and number of networks) and the same test split is replaced; the new score
    becomes the last.

    Args:
        path: The file.
        bundle: The evaluated bundle, as it was read from the file.
        evaluation: The result of ``evaluate`` in this process, whose software versions are
            recorded.
        device: The device that was passed to ``evaluate``.

    Returns:
        The new manifest of the file.

    Raises:
        BadSettings: if the file cannot be written, or its header has no room left.
        OutputExists: if the file no longer contains the evaluated bundle.
        BadBundle: if it is no longer a valid bundle.
    """
    path = path_of(path)
    check_recordable(path)
    score = recorded_score(evaluation, choose_device(device))
    with _one_at_a_time(path.parent):
        now = read(path)
        if _without_scores(now.manifest) != _without_scores(bundle.manifest):
            raise OutputExists(
                f"{path} has changed since it was read, so the score belongs to another bundle and "
                "was not recorded; evaluate it again"
            )
        manifest = with_score(now.manifest, score)
        _replace(path, Bundle(manifest, now.tensors))
    return manifest


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Lock a folder while a score is recorded: of two concurrent writes one would be lost."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(ImportError, OSError):  # not every system locks folders
            import fcntl  # noqa: PLC0415 - Unix has it

            place = os.open(folder, os.O_RDONLY)
            held.callback(os.close, place)
            fcntl.flock(place, fcntl.LOCK_EX)
        yield


def check_recordable(path: AnyPath) -> None:
    """Check, before minutes of training, that a score can be written into a file.

    Raises:
        OutputExists: if the path is a symbolic link or not a regular file.
        BadSettings: if the file or its folder is not writable.
    """
    path = path_of(path)
    check_output_path(path, force=True)
    if not os.access(path, os.W_OK):
        raise BadSettings(
            f"{path} may not be written, so no score can be recorded; change its mode, or copy it"
        )


def recorded_score(evaluation: Evaluation, device: torch.device) -> Score:
    """Return an evaluation's score, with software versions, device and baselines added."""
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
    """Return the manifest with the score added, replacing one of its protocol and test split."""

    def identity(one: Score) -> tuple[object, ...]:
        return one.protocol, one.config, one.network, one.seed, len(one.accuracies), one.fingerprint

    others = (one for one in manifest.scores if identity(one) != identity(score))
    return manifest.model_copy(update={"scores": (*others, score)})


def _without_scores(manifest: Manifest) -> Manifest:
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
            f"{path}: the header (1 MiB at most) has no room for this score; save it to a file "
            "of its own (--save)"
        ) from error
    mode = stat.S_IMODE(path.stat().st_mode)
    with replacing(path, force=True) as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
