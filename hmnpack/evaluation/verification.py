"""Verifies a file: the format is valid, and retrained networks reproduce a recorded score."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from hmnpack.bundle import read
from hmnpack.bundle.opened import AnyFile, name_of_file
from hmnpack.errors import BadData, BadSettings
from hmnpack.evaluation.protocol import followed
from hmnpack.evaluation.run import evaluate
from hmnpack.evaluation.student import t_quantile
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.paths import AnyPath
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.score import Score
from hmnpack.settings import merged
from hmnpack.sources import Source, SourceOptions, Split, as_recorded, as_seen, open_source

CONFIDENCE = 0.99
"""Probability that the check accepts a true score."""

FEWEST = 4
"""Fewest networks, recorded and new; with 3, the interval is 64 standard errors to either side."""

_DEFAULT_OPTIONS = SourceOptions()


@dataclass(frozen=True)
class Repetition:
    """A recorded score, and networks retrained with its protocol.

    Attributes:
        number: Position of the score among the file's scores, from 1.
        recorded: The score.
        accuracies: Test accuracy of each new network, in percent.
        test_images: Number of test images.
    """

    number: int
    recorded: Score
    accuracies: tuple[float, ...]
    test_images: int

    @property
    def interval(self) -> tuple[float, float]:
        """Interval that the mean of the new networks must lie in, in percent."""
        return interval_of(self.recorded.accuracies, self.accuracies, 100 / self.test_images)

    @property
    def reproduced(self) -> bool:
        """Whether the score is reproduced, that is, the new networks' mean is in the interval."""
        low, high = self.interval
        return low <= statistics.fmean(self.accuracies) <= high


@dataclass(frozen=True)
class Verification:
    """The result of verifying a file that satisfies every rule of the format.

    Attributes:
        manifest: Manifest of the file.
        repetition: The retrained score; None if no dataset was given.
    """

    manifest: Manifest
    repetition: Repetition | None

    @property
    def reproduced(self) -> bool:
        """Whether the score is reproduced; also True if none was retrained."""
        return self.repetition is None or self.repetition.reproduced


@with_torch_defaults
def verify(  # noqa: PLR0913
    path: AnyFile,
    data: AnyPath | Source | None = None,
    *,
    score: int | None = None,
    networks: int | None = None,
    seed: int | None = None,
    device: str | torch.device = "auto",
    source_options: SourceOptions = _DEFAULT_OPTIONS,
    listener: Listener = no_progress,
) -> Verification:
    """Check a file's structure, ledger, budget and hashes; with a dataset, also a recorded score.

    The score is retrained with its own protocol. With its seed, the same kind of machine gives the
    same accuracies. Elsewhere, or with another seed, they differ by chance; ``interval_of`` gives
    the tolerance.

    Args:
        path: The file: its path, a binary file object, or its content.
        data: The dataset that the score was tested on, or anything that ``open_source`` accepts.
            None: nothing is trained, and the other arguments are ignored.
        score: Number of the score, from 1 in the order of the manifest; None: the last one that was
            tested on this dataset.
        networks: Number of networks to train; None: the recorded number.
        seed: Seed of the training; None: the recorded one.
        device: Device to train on: ``auto``, ``cpu``, ``cuda``, ...
        source_options: How ``data`` is opened, if it is a string: size and skipping of bad
            images are those of the bundle unless given here.
        listener: Called after every epoch.

    Returns:
        The result; a score that is not reproduced does not raise an error.

    Raises:
        BadBundle: if the file breaks a rule of the format.
        BadSettings: if there is no such score, this version does not support its protocol, or the
            networks are too few for the test.
        BadData: if the score was tested on another dataset.
        Diverged: if a training diverges.
    """
    score, networks, seed = (as_integer(number) for number in (score, networks, seed))
    bundle, name = read(path), name_of_file(path)
    if data is None:
        return Verification(bundle.manifest, None)
    check_has_score(name, bundle.manifest, score)
    options = as_recorded(bundle.manifest, source_options, data)
    needs_test = needs_test_split(bundle.manifest, score)
    source = open_source(data, options, listener, needs_test=needs_test)
    number, test = _tested_on(name, bundle.manifest, score, source)
    recorded = bundle.manifest.scores[number - 1]
    protocol = _protocol_again(name, bundle.manifest, number, networks, seed)
    missing = FEWEST - len(recorded.accuracies)
    if protocol.repeats < missing:
        raise BadSettings(
            f"{name}: score {number} has {len(recorded.accuracies)} recorded networks, and "
            f"{protocol.repeats} new ones are too few for the test, which needs {FEWEST} in total; "
            f"train {missing} or more (--networks {missing})"
        )
    # The dataset's name decides whether flips are disabled, so the recorded name is used.
    source = dataclasses.replace(source, name=recorded.data)
    found = evaluate(bundle, source, protocol, device=device, listener=listener).score
    repetition = Repetition(number, recorded, found.accuracies, len(test))
    return Verification(bundle.manifest, repetition)


def interval_of(
    recorded: Sequence[float], new: Sequence[float], resolution: float
) -> tuple[float, float]:
    """Return the 99 % interval of the mean of new networks, if the recorded score is true.

    Both groups were trained on the same images with the same protocol. They are then n and N draws
    from one distribution, and the interval is that of Student's two-sample t-test::

        mean(recorded) -+ t * s * sqrt(1/n + 1/N)
        s^2 = (sum (recorded - mean(recorded))^2 + sum (new - mean(new))^2) / (n + N - 2)

    with t the 99.5th percentile of Student's t with n + N - 2 degrees of freedom. For a normal
    distribution it is exact for any n and N, including 1. Welch's test, for unequal variances, is
    not exact, and equal variances are part of the claim. New networks with the recorded seed are
    not independent of the recorded ones, but closer to them.

    An accuracy is a whole number of images divided by their count, so a few networks may agree by
    chance: s is at least ``resolution``.

    Args:
        recorded: Accuracies in percent, n values.
        new: Accuracies in percent, N values; n + N is 3 or more.
        resolution: Contribution of one test image to the accuracy, in percent.

    Returns:
        The lower and upper limit, in percent, from 0 to 100.
    """
    count, others = len(recorded), len(new)
    freedom = count + others - 2
    centre = statistics.fmean(recorded)
    squares = _squares(recorded) + _squares(new)
    spread = max(math.sqrt(squares / freedom), resolution)
    reach = t_quantile((1 + CONFIDENCE) / 2, freedom) * spread * math.sqrt(1 / count + 1 / others)
    return max(0.0, centre - reach), min(100.0, centre + reach)


def check_has_score(name: str, manifest: Manifest, number: int | None) -> None:
    """Check, before the dataset is opened, that the file has a score to verify.

    Args:
        name: Name of the file, for the error message.
        manifest: Manifest of the file.
        number: Number of the score, from 1; None: any.

    Raises:
        BadSettings: if there is no such score.
    """
    count = len(manifest.scores)
    if not count:
        raise BadSettings(
            f"{name} records no score to verify; 'hmnpack evaluate {name} --data DATA --record' "
            "records one"
        )
    if number is not None and not 1 <= number <= count:
        raise BadSettings(f"{name} has no score {number}; its scores are numbered 1 to {count}")


def needs_test_split(manifest: Manifest, number: int | None) -> bool:
    """Return whether the score to verify, or with None any score, was tested on a test split."""
    scores = manifest.scores if number is None else (manifest.scores[number - 1],)
    return not all(score.held_out for score in scores)


def _tested_on(
    name: str, manifest: Manifest, number: int | None, source: Source
) -> tuple[int, Split]:
    """Return the number of the score to verify, and its test images.

    Raises:
        BadData: if no eligible score was tested on this dataset.
    """
    numbers = range(1, len(manifest.scores) + 1) if number is None else (number,)
    for one in reversed(numbers):
        recorded = manifest.scores[one - 1]
        test = _test_of(recorded, manifest, source)
        if test and test.fingerprint == recorded.fingerprint:
            return one, test
    tested = manifest.scores[numbers[-1] - 1]
    if tested.held_out:
        as_seen(manifest, source)  # raises a more specific error, if there is one
    elif source.test_problem:
        raise source.test_problem
    elif source.test is None:
        raise BadData(
            f"{name}: score {numbers[-1]} was tested on {tested.data}, and {source.name} has no "
            "test split; name the same dataset"
        )
    raise BadData(
        f"{name}: score {numbers[-1]} was tested on {tested.data}, and {source.name} has other "
        "test images (their fingerprints differ); name the same dataset, with the same --size"
    )


def _test_of(score: Score, manifest: Manifest, source: Source) -> Split | None:
    """Return this dataset's test images for a score; None if it has none."""
    if not score.held_out:
        return source.test
    try:
        return as_seen(manifest, source).test
    except BadData:
        return None


def _protocol_again(
    name: str, manifest: Manifest, number: int, networks: int | None, seed: int | None
) -> EvaluateConfig:
    try:
        protocol = followed(manifest.scores[number - 1], number, manifest)
    except BadSettings as error:
        raise BadSettings(f"{name}: {error}") from error
    asked = {"repeats": networks, "seed": seed}
    given = {name: value for name, value in asked.items() if value is not None}
    return merged(protocol, {"baselines": False}, given)


def _squares(values: Sequence[float]) -> float:
    centre = statistics.fmean(values)
    return sum((value - centre) ** 2 for value in values)
