"""Budgets: how much a bundle may hold, and a container that is sized to fit (pure arithmetic).

The planner's rule, for K classes of C x H x W images at ``ipc`` images per class:

1. The budget is ``ipc * K * C * H * W`` numbers (paper section 4).
2. The grid is an eighth of the longer side, rounded up, at most 12 (three decoder layers, as in
   the paper); images under 16 pixels take a quarter and two layers.
3. Channels and extractor are those of the nearest column of Table 7, by the sum of the absolute
   log-ratios of side, numbers per class and classes. Images under 16 pixels, and budgets where
   that column leaves fewer images than :data:`IMAGES_PER_IPC` per ipc, step down to the next
   smaller setting of :data:`SMALLER`. The settings ``instance_channels`` and ``decoder_channels``
   replace a column's. With ``decoder_width`` the decoder is made as wide as that, or as a tenth of
   the budget allows. Where then fewer images of a class fit than ``min_images`` (and no
   ``instance_channels`` are given), each image's memory gives up channels, down to one.
4. The count of images is the largest that fits, with weights, biases and the scale and shift of
   the decoder's normalisation counted: the paper's accounting, which reproduces its counts. What
   is written is less by the scale and shift, since they are folded into the weights.

For the columns of Table 7 themselves this gives Table 7, but for ImageNet-10, where 126 images fit
and the paper uses 125.

Condensing over budget (paper section 3.2) takes more images, which are pruned back to that count:
the paper's own over-budget counts for the container of a column, else a tenth more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log

from pydantic import ValidationError

from hmnpack.errors import BadSettings, BudgetTooSmall
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.container import MAX_ENLARGEMENT, ContainerSpec, HmnSpec, ImageShape
from hmnpack.schema.ledger import BYTES_PER_FLOAT
from hmnpack.schema.manifest import MAX_IPC, Budget
from hmnpack.schema.presets import DECODER_CHANNELS, PRESETS

IMAGES_PER_IPC = 2
"""A container is worth its decoder if it holds at least this many images per stored image."""

DECODER_PART = 10
"""A decoder is widened as far as it takes one of so many parts of the budget."""

MAX_GRID = 12
SMALL_SIDE = 16


@dataclass(frozen=True)
class Channels:
    """Channels of the three memories, of the extractor (None: identity) and of the decoder."""

    dataset: int
    klass: int
    instance: int
    extractor: int | None
    decoder: tuple[int, ...]


SMALLER = (
    Channels(5, 3, 2, None, (10, 6)),
    Channels(4, 2, 2, None, (6, 4)),
    Channels(2, 1, 1, None, (4, 2)),
)
"""Settings for budgets that the columns of Table 7 do not fit, from large to small."""


def budget_of(ipc: int, classes: int, image: ImageShape) -> Budget:
    """Return what may be stored at ``ipc`` images per class (paper section 4).

    Example:
        >>> budget_of(1, 10, ImageShape(channels=3, height=32, width=32)).floats
        30720

    Raises:
        BadSettings: if it is less than 1, or more than a file may say.
    """
    floats = floats_of(ipc, classes, image)
    return Budget(ipc=ipc, floats=floats, bytes=floats * BYTES_PER_FLOAT)


def floats_of(ipc: int, classes: int, image: ImageShape) -> int:
    """Return the numbers that may be stored at ``ipc`` images per class.

    Raises:
        BadSettings: if it is less than 1, or more than a file may say.
    """
    if not isinstance(ipc, int) or not 1 <= ipc <= MAX_IPC:
        raise BadSettings(
            f"{ipc} images per class is no budget; give a whole number from 1 to {MAX_IPC:,}"
        )
    return ipc * classes * image.elements


def counted_floats(spec: HmnSpec) -> int:
    """Return the numbers of a container, the scale and shift of norms with them, as the paper does.

    Norms are there while it is condensed; a file has them folded into the decoder.

    Args:
        spec: The container.
    """
    return spec.ledger().floats + 2 * sum(spec.decoder_channels)


def most_images(spec: HmnSpec, floats: int) -> int:
    """Return the largest number of images that fits (0: not even one does)."""
    one = counted_floats(spec.model_copy(update={"instances": 1}))
    each = spec.instance_channels * spec.grid**2
    return max(0, (floats - one) // each + spec.classes)


def most_instances(spec: HmnSpec, floats: int) -> int:
    """Return the largest count of images per class that fits (0: not even one does)."""
    return most_images(spec, floats) // spec.classes


def images_within(spec: ContainerSpec, ipc: int) -> int:
    """Return how many images of such a container a budget holds (0: not even one).

    Args:
        spec: The container; its own counts of images do not matter.
        ipc: Budget, in images per class.
    """
    if not isinstance(spec, HmnSpec):
        return ipc * spec.classes
    return most_images(spec, floats_of(ipc, spec.classes, spec.image))


def instances_within(spec: ContainerSpec, ipc: int) -> int:
    """Return how many images per class of such a container a budget holds (0: not even one).

    Args:
        spec: The container; its own counts of images do not matter.
        ipc: Budget, in images per class.
    """
    return images_within(spec, ipc) // spec.classes


def as_even_as(counts: Sequence[int], images: int) -> tuple[int, ...]:
    """Return how many images of each class to keep, so that the classes are as even as can be.

    Each class keeps the same number, or all of its images where it has fewer. The number is the
    largest for which all classes together keep at most ``images``; what is then left of these, too
    few for one more of every larger class, is not used.

    Args:
        counts: Images of each class.
        images: Most images to keep in all.

    Example:
        >>> as_even_as((9, 2, 8), 13)
        (5, 2, 5)
    """
    left = images
    for classes, count in zip(range(len(counts), 0, -1), sorted(counts), strict=True):
        level = left // classes
        if count > level:
            return tuple(min(each, level) for each in counts)
        left -= count
    return tuple(counts)


def ipc_of(spec: ContainerSpec) -> int:
    """Return the smallest budget, in images per class, that holds what a container stores."""
    return -(-spec.ledger().floats // (spec.classes * spec.image.elements))


def over_budget_instances(ipc: int, spec: HmnSpec) -> int:
    """Return the images per class to condense, where they are to be pruned to those of a plan.

    Args:
        ipc: Budget, in images per class.
        spec: The container that fits it.

    Example:
        >>> over_budget_instances(1, plan(1, 10, ImageShape(channels=3, height=32, width=32)))
        93
    """
    sizes = (spec.image, spec.instance_channels, spec.decoder_channels)
    for column in PRESETS:
        own = (column.image, column.instance_channels, DECODER_CHANNELS)
        if (column.ipc, column.classes) == (ipc, spec.classes) and own == sizes:
            return column.over_budget
    return max(spec.each * 11 // 10, spec.each + 1)


def plan(
    ipc: int,
    classes: int,
    image: ImageShape,
    config: ContainerConfig | None = None,
    *,
    over_budget: bool = False,
) -> HmnSpec:
    """Return the container that the planner's rule (see the module) gives for a budget.

    Args:
        ipc: Budget, in images per class.
        classes: Number of classes K.
        image: Shape of the images.
        config: Activation, which costs nothing; channels of an image's memory and
            of the decoder; the decoder's width and the images of each class to aim at.
        over_budget: Take the count that is to be pruned back to the budget.

    Raises:
        BudgetTooSmall: if no network fits; the text names the smallest ipc that works.
        BadSettings: if the images are larger than a decoder can make, or too many; or if the
            decoder is given more or fewer channels than it has layers.
    """
    largest = MAX_GRID * 8 * MAX_ENLARGEMENT
    if image.side > largest:
        raise BadSettings(
            f"images of {image.height}x{image.width} are larger than the {largest} pixels that a "
            "container can decode to; give a --size"
        )
    spec = _fitting(ipc, classes, image, config or ContainerConfig())
    if spec is not None:
        more = over_budget_instances(ipc, spec) if over_budget else spec.each
        return _checked(spec.model_copy(update={"instances": more}))
    enough = _smallest_ipc(ipc, classes, image, config or ContainerConfig())
    raise BudgetTooSmall(
        f"ipc {ipc} allows {floats_of(ipc, classes, image)} numbers, too few for a decoder "
        f"and {IMAGES_PER_IPC} images per stored one; "
        + (
            f"the smallest ipc that works here is {enough}"
            if enough is not None
            else "with so many instance channels no ipc works here; take fewer"
        )
    )


def _smallest_ipc(
    above: int, classes: int, image: ImageShape, config: ContainerConfig
) -> int | None:
    """Return the smallest ipc that works, given one that does not; None if none does."""
    enough = above + 1
    while _fitting(enough, classes, image, config) is None:
        if enough == MAX_IPC:
            return None
        enough = min(2 * enough, MAX_IPC)
    low = max(above, enough // 2)
    while low + 1 < enough:
        middle = (low + enough) // 2
        fits = _fitting(middle, classes, image, config) is not None
        low, enough = (low, middle) if fits else (middle, enough)
    return enough


def _checked(spec: HmnSpec) -> HmnSpec:
    """Hold a plan against the limits that a reader has, before anything is computed."""
    try:
        return HmnSpec.model_validate(spec.model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        reason, where = first["msg"].removeprefix("Value error, "), ".".join(map(str, first["loc"]))
        what = f"{where} = {first['input']}: " if where else ""
        raise BadSettings(
            f"no bundle may hold this ({what}{reason}); lower the ipc or the --size"
        ) from error


def _fitting(ipc: int, classes: int, image: ImageShape, config: ContainerConfig) -> HmnSpec | None:
    floats = floats_of(ipc, classes, image)
    small = image.side < SMALL_SIDE
    nearest = () if small else (_nearest_column(ipc, classes, image),)
    for channels in (*nearest, *SMALLER):
        spec = _spec(channels, classes, image, config)
        if most_instances(spec, floats) >= IMAGES_PER_IPC * ipc:
            width = 0 if config.decoder_channels else config.decoder_width
            aim = 0 if config.instance_channels else config.min_images
            return _filled(_widened(spec, floats, width), floats, aim)
    return None


def _widened(spec: HmnSpec, floats: int, width: int) -> HmnSpec:
    """Return it with the widest decoder up to a width that takes its part; none is narrowed."""
    usual = spec.decoder_channels
    for first in range(width, usual[0], -1):
        channels = tuple(ceil(first * each / usual[0]) for each in usual)
        wide = spec.model_copy(update={"decoder_channels": channels})
        if DECODER_PART * wide.ledger().floats_by_role()["decoder"] <= floats:
            return wide
    return spec


def _filled(spec: HmnSpec, floats: int, aim: int) -> HmnSpec:
    """Return it with as many images as fit; memories give up channels for as many as aimed at."""
    while spec.instance_channels > 1 and most_instances(spec, floats) < aim:
        spec = spec.model_copy(update={"instance_channels": spec.instance_channels - 1})
    return spec.model_copy(update={"instances": most_instances(spec, floats)})


def _spec(channels: Channels, classes: int, image: ImageShape, config: ContainerConfig) -> HmnSpec:
    small = image.side < SMALL_SIDE
    usual = channels.decoder[1:] if small else channels.decoder
    decoder = config.decoder_channels or usual
    if len(decoder) != len(usual):
        raise BadSettings(
            f"container.decoder_channels {list(decoder)} is {len(decoder)} numbers; a decoder to "
            f"{image.height}x{image.width} pixels takes {len(usual)}"
        )
    try:
        return HmnSpec(
            classes=classes,
            instances=1,
            image=image,
            grid=ceil(image.side / 4) if small else min(MAX_GRID, ceil(image.side / 8)),
            dataset_channels=channels.dataset,
            class_channels=channels.klass,
            instance_channels=config.instance_channels or channels.instance,
            extractor_channels=channels.extractor,
            decoder_channels=decoder,
            activation=config.activation,
            dtype=config.dtype,
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise BadSettings(
            f"no bundle may hold a decoder of {list(decoder)} channels for such images ({reason}); "
            "lower container.decoder_channels"
        ) from error


def _nearest_column(ipc: int, classes: int, image: ImageShape) -> Channels:
    def distance(index: int) -> float:
        column = PRESETS[index]
        pairs = (
            (image.side, column.image.side),
            (ipc * image.elements, column.ipc * column.image.elements),
            (classes, column.classes),
        )
        return sum(abs(log(ours / theirs)) for ours, theirs in pairs)

    column = PRESETS[min(range(len(PRESETS)), key=distance)]
    return Channels(
        column.dataset_channels,
        column.class_channels,
        column.instance_channels,
        column.extractor_channels,
        DECODER_CHANNELS,
    )
