"""What a generator put into a dataset, and how an opened source is compared with it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fuzz_parts.pictures import Code, code_of, in_colour
from fuzz_parts.watch import Outcome

State = Literal["good", "bad", "maybe"]


@dataclass(frozen=True)
class Picture:
    """One picture that was put in.

    Attributes:
        label: Name of its class.
        code: Who it is.
        grey: Whether it is grey; None: readers differ.
        state: `good`, `bad` (no decoder reads it) or `maybe` (damaged somewhere).
        size: Width and height in pixels.
    """

    label: str
    code: Code
    grey: bool | None
    state: State
    size: tuple[int, int]


@dataclass
class Truth:
    """What a generator put in.

    Attributes:
        spec: What is opened.
        options: Arguments of `SourceOptions`.
        classes: Class names in order.
        train: Pictures of the training split.
        test: Pictures of the test split that is to be used, or None.
        skipped: Reason -> number of other files, without unreadable images.
        warned: Names that warnings must mention, one warning or more for each.
        problems: Why the data must be refused; empty: they must be accepted.
        perhaps: Whether they may be refused instead.
        noisy: Whether a library in C prints to standard error what it finds in damaged files, as
            libtiff does, which Pillow cannot prevent.
        read: Returns the code of a decoded image [C, H, W].
    """

    spec: Any
    options: dict[str, Any]
    classes: list[str]
    train: list[Picture]
    test: list[Picture] | None = None
    skipped: Counter[str] = field(default_factory=Counter)
    warned: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    perhaps: bool = False
    noisy: bool = False
    read: Callable[[Any], Code] = field(default=lambda image: code_of(image.numpy()))

    @property
    def words(self) -> list[str]:
        """The options as words of a command line."""
        named = ((name.replace("_", "-"), value) for name, value in self.options.items())
        return [
            f"--{name}" if value is True else f"--{name}={value}" for name, value in named if value
        ]


def problems_of_pictures(truth: Truth) -> None:
    """Add what follows from the states and sizes of the pictures to the problems."""
    everything = [*truth.train, *(truth.test or ())]
    skip = bool(truth.options.get("skip_bad"))
    truth.perhaps |= any(picture.state == "maybe" for picture in everything)
    if any(picture.state == "bad" for picture in everything) and not skip:
        truth.problems.append("an unreadable image")
    taken = [picture for picture in everything if picture.state == "good"]
    if not truth.options.get("size") and len({picture.size for picture in taken}) > 1:
        truth.problems.append("images of different sizes")
    for name in truth.classes:
        states = {picture.state for picture in truth.train if picture.label == name}
        if "good" not in states:
            if "maybe" in states:
                truth.perhaps = True
            else:
                truth.problems.append(f"no image of class {name!r} in train")
    if truth.test is not None and not any(picture.state == "good" for picture in truth.test):
        truth.perhaps = True


def compared(truth: Truth, outcome: Outcome) -> list[str]:
    """Return the faults of an attempt to open what was put in.

    Args:
        truth: What was put in.
        outcome: Of the call that opened it.
    """
    faults = [
        fault for fault in outcome.faults if not (truth.noisy and fault.startswith("printed"))
    ]
    if outcome.error is not None:
        if not truth.problems and not truth.perhaps and outcome.code is not None:
            faults.append(f"refused without a reason: {outcome.error}")
        elif outcome.code not in (3, None) and truth.problems:
            faults.append(f"refused with exit code {outcome.code}: {outcome.error}")
        return faults
    if truth.problems:
        return [*faults, f"accepted in spite of {', '.join(truth.problems)}"]
    return [
        *faults,
        *_faults_of_classes(truth, outcome.value),
        *_faults_of_splits(truth, outcome.value),
        *faults_of_warnings(truth.warned, outcome.logged),
    ]


def faults_of_warnings(wanted: Sequence[str], logged: Iterable[str]) -> list[str]:
    """Return a fault for each name that no warning mentions, and each warning without a reason."""
    logged = list(logged)
    silent = [
        f"left out without a word: {name!r}"
        for name in wanted
        if not any(name in s for s in logged)
    ]
    needless = [s for s in logged if not any(name in s for name in wanted)]
    return silent + [f"needless warning: {text}" for text in needless]


def _faults_of_classes(truth: Truth, source: Any) -> list[str]:
    if list(source.classes) == truth.classes:
        return []
    return [f"classes are {list(source.classes)!r}, not {truth.classes!r}"]


def _faults_of_splits(truth: Truth, source: Any) -> list[str]:
    if (truth.test is None) != (source.test is None):
        return [f"test split: {source.test} for {truth.test}"]
    faults, unreadable = [], 0
    pairs = [("train", truth.train, source.train), ("test", truth.test, source.test)]
    for name, pictures, split in pairs:
        if pictures is not None:
            found, lost = _compared_split(truth, pictures, split, source.classes)
            faults += [f"{name}: {fault}" for fault in found]
            unreadable += lost
    wanted = truth.skipped + Counter({"unreadable": unreadable})
    if dict(source.skipped) != dict(wanted):
        faults.append(f"left out are {dict(source.skipped)}, not {dict(wanted)}")
    return faults


def _compared_split(
    truth: Truth, pictures: Sequence[Picture], split: Any, classes: Sequence[str]
) -> tuple[list[str], int]:
    """Return the faults of a split, and the number of images that must be counted as unreadable."""
    names = [classes[label] for label in split.labels.tolist()]
    found = Counter(zip(names, map(truth.read, split.images), strict=True))
    grey = len(split.images) and split.images.shape[1] == 1
    wanted = Counter(
        (picture.label, picture.code if grey else in_colour(picture.code))
        for picture in pictures
        if picture.state == "good"
    )
    maybe = Counter(picture.label for picture in pictures if picture.state == "maybe")
    extra = Counter(name for (name, _), count in (found - wanted).items() for _ in range(count))
    faults = [
        f"missing or changed: {key}, {count} times" for key, count in (wanted - found).items()
    ]
    faults += [f"{count} more of {name!r}" for name, count in (extra - maybe).items()]
    if len(split.images) == 0:
        faults.append("no images")
    if grey and any(p.grey is False and p.state == "good" for p in pictures):
        faults.append("colour images became grey")
    bad = sum(picture.state == "bad" for picture in pictures)
    return faults, bad + maybe.total() - min(extra.total(), maybe.total())
