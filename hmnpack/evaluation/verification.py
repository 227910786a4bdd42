"""Verifying a file: it is whole, and networks that are trained again come to what it says."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch

from hmnpack.bundle import read
from hmnpack.errors import BadData, BadSettings
from hmnpack.evaluation.protocol import followed
from hmnpack.evaluation.run import evaluate
from hmnpack.evaluation.student import t_quantile
from hmnpack.runtime.devices import default_on_cpu
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.score import Score
from hmnpack.settings import merged
from hmnpack.sources import Source, SourceOptions, Split, as_seen, open_source

CONFIDENCE = 0.99
"""Probability that a score which is true is found to hold."""

FEWEST = 4
"""Networks, recorded and new: with 3, the interval is 64 standard errors to either side."""

_DEFAULT_OPTIONS = SourceOptions()


@dataclass(frozen=True)
class Repetition:
    """A recorded score, and networks that were trained by its protocol again.

    Attributes:
        number: Place of the score among the file's, from 1.
        recorded: The score.
        accuracies: Test accuracy of each new network, in percent.
        test_images: Images that they were tested on.
    """

    number: int
    recorded: Score
    accuracies: tuple[float, ...]
    test_images: int

    @property
    def interval(self) -> tuple[float, float]:
        """Where the mean of the new networks must lie, in percent; see ``interval_of``."""
        return interval_of(self.recorded.accuracies, self.accuracies, 100 / self.test_images)

    @property
    def holds(self) -> bool:
        """Whether it lies there."""
        low, high = self.interval
        return low <= statistics.fmean(self.accuracies) <= high


@dataclass(frozen=True)
class Verification:
    """What was found about a file that keeps every rule of the format.

    Attributes:
        manifest: What the file says about itself.
        repetition: The score that was repeated, or None where no data were given.
    """

    manifest: Manifest
    repetition: Repetition | None

    @property
    def holds(self) -> bool:
        """Whether nothing contradicts what the file says."""
        return self.repetition is None or self.repetition.holds


@default_on_cpu
def verify(  # noqa: PLR0913
    path: str | Path,
    data: str | PathLike[str] | Source | None = None,
    *,
    score: int | None = None,
    networks: int | None = None,
    seed: int | None = None,
    device: str | torch.device = "auto",
    source_options: SourceOptions = _DEFAULT_OPTIONS,
    listener: Listener = no_progress,
) -> Verification:
    """Check a file's structure, ledger, budget and hashes, and with data a score that it records.

    The score is trained again by its own protocol, whose seed gives the same figures on the same
    kind of machine. Elsewhere, or with another seed, they differ by chance; how far they may is
    told by ``interval_of``.

    Args:
        path: The file.
        data: The data set that the score was tested on, or what ``open_source`` takes. None:
            nothing is trained, and what follows is unused.
        score: Which score, from 1 in the order of the manifest; None: the last that was tested on
            this data.
        networks: How many to train; None: as many as were recorded.
        seed: Of every random number; None: the recorded one.
        device: Where to train: ``auto``, ``cpu``, ``cuda``, ...
        source_options: How ``data`` is opened, where it is a string.
        listener: Hears of every epoch.

    Returns:
        The result; a score that does not hold is no error.

    Raises:
        BadBundle: if the file breaks a rule of the format.
        BadSettings: if there is no such score, this version cannot follow its protocol, or the
            networks are too few to tell.
        BadData: if the score was tested on other data.
        Diverged: if a training fails.
    """
    bundle = read(path)
    if data is None:
        return Verification(bundle.manifest, None)
    check_has_score(path, bundle.manifest, score)
    source = open_source(data, source_options, listener)
    number, test = _tested_on(path, bundle.manifest, score, source)
    recorded = bundle.manifest.scores[number - 1]
    protocol = _protocol_again(path, bundle.manifest, number, networks, seed)
    missing = FEWEST - len(recorded.accuracies)
    if protocol.repeats < missing:
        raise BadSettings(
            f"{path}: score {number} is of {len(recorded.accuracies)} networks, and so few as "
            f"{protocol.repeats} more do not tell how far chance alone takes them apart; train "
            f"{missing} or more (--networks {missing})"
        )
    # The name decides whether images are mirrored: under the recorded one they are as they were.
    source = dataclasses.replace(source, name=recorded.data)
    found = evaluate(bundle, source, protocol, device=device, listener=listener).score
    repetition = Repetition(number, recorded, found.accuracies, len(test))
    return Verification(bundle.manifest, repetition)


def interval_of(
    recorded: Sequence[float], new: Sequence[float], resolution: float
) -> tuple[float, float]:
    """Return where the mean of new networks lies in 99 of 100 cases, if the recorded ones are true.

    They are then n and N draws from one distribution, as both were trained on the same images by
    the same protocol, and the interval is that of Student's test of two samples::

        mean(recorded) -+ t * s * sqrt(1/n + 1/N)
        s^2 = (sum (recorded - mean(recorded))^2 + sum (new - mean(new))^2) / (n + N - 2)

    with t the 99.5th percentile of Student's t with n + N - 2 degrees of freedom. For a normal
    distribution that is exact for any n and N, also where one of them is 1; Welch's test, for
    samples of unequal spread, is not, and equal spread is a part of what is claimed. New networks
    of the recorded seed are not independent of the recorded ones, but nearer to them.

    An accuracy is a whole number of images, so a few may agree by chance: s is taken as
    ``resolution`` at least.

    Args:
        recorded: Accuracies in percent; n of them.
        new: The same; N of them, so that n + N is 3 or more.
        resolution: What one test image makes, in percent.
    """
    count, others = len(recorded), len(new)
    freedom = count + others - 2
    centre = statistics.fmean(recorded)
    squares = _squares(recorded) + _squares(new)
    spread = max(math.sqrt(squares / freedom), resolution)
    reach = t_quantile((1 + CONFIDENCE) / 2, freedom) * spread * math.sqrt(1 / count + 1 / others)
    return max(0.0, centre - reach), min(100.0, centre + reach)


def check_has_score(path: str | Path, manifest: Manifest, number: int | None) -> None:
    """Check, before data are opened, that there is a score to repeat.

    Args:
        path: The file, for the error.
        manifest: What it says about itself.
        number: Which score, from 1; None: any.

    Raises:
        BadSettings: if it is not there.
    """
    count = len(manifest.scores)
    if not count:
        raise BadSettings(
            f"{path} records no score that could be verified; 'hmnpack evaluate {path} --data DATA "
            "--record' records one"
        )
    if number is not None and not 1 <= number <= count:
        raise BadSettings(f"{path} has no score {number}; its scores are numbered 1 to {count}")


def _tested_on(
    path: str | Path, manifest: Manifest, number: int | None, source: Source
) -> tuple[int, Split]:
    """Return the number of the score to repeat, and what it was tested on.

    Raises:
        BadData: if none of those that may be repeated was tested on this data.
    """
    numbers = range(1, len(manifest.scores) + 1) if number is None else (number,)
    for one in reversed(numbers):
        recorded = manifest.scores[one - 1]
        test = _test_of(recorded, manifest, source)
        if test and test.fingerprint == recorded.fingerprint:
            return one, test
    tested = manifest.scores[numbers[-1] - 1]
    if tested.held_out:
        as_seen(manifest, source)  # says what is wrong, if it can
    elif source.test is None:
        raise BadData(
            f"{path}: score {numbers[-1]} was tested on {tested.data}, and {source.name} has no "
            "test split; name the same data"
        )
    raise BadData(
        f"{path}: score {numbers[-1]} was tested on {tested.data}, and {source.name} has other "
        "images to test on (their fingerprint differs); name the same data, with the same --size"
    )


def _test_of(score: Score, manifest: Manifest, source: Source) -> Split | None:
    """Return what a score would be tested on in this data, if there is something."""
    if not score.held_out:
        return source.test
    try:
        return as_seen(manifest, source).test
    except BadData:
        return None


def _protocol_again(
    path: str | Path, manifest: Manifest, number: int, networks: int | None, seed: int | None
) -> EvaluateConfig:
    try:
        protocol = followed(manifest.scores[number - 1], number, manifest)
    except BadSettings as error:
        raise BadSettings(f"{path}: {error}") from error
    asked = {"repeats": networks, "seed": seed}
    given = {name: value for name, value in asked.items() if value is not None}
    return merged(protocol, {"baselines": False}, given)


def _squares(values: Sequence[float]) -> float:
    centre = statistics.fmean(values)
    return sum((value - centre) ** 2 for value in values)
