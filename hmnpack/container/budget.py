"""Float budgets, and the container sizes that fit them (pure arithmetic).

The planner's rule, for K classes of C x H x W images at ``ipc`` images per class:

1. The budget is ``ipc * K * C * H * W`` floats (paper section 4).
2. The grid is an eighth of the longer side, rounded up, at most 12 (three decoder layers, as in
   the paper). For images under 16 pixels it is a quarter, with two decoder layers. Channels and
   extractor are those of the nearest column of Table 7. The distance is the sum of the absolute
   log-ratios of side, floats per class and number of classes.
3. Images of 48 pixels or more, except those of the paper's datasets, have a grid of at most 8 and
   as many decoder layers as double it to the side, 3 or more: 3 for 64 pixels, 4 for 128. The
   dataset memory has 16 channels, a class memory 6, and there is no extractor. Instance memories
   have the most channels with which 40 images per class, times the root of the ipc, take at most
   0.8 of the budget.
4. Images under 16 pixels, and budgets where these sizes leave fewer images than
   :data:`IMAGES_PER_IPC` per ipc, have smaller memories (:mod:`hmnpack.container.sizes`).
5. The settings ``instance_channels`` and ``decoder_channels`` override these.
   ``decoder_width`` widens the decoder up to that width, but to at most a tenth of the budget. If
   fewer images per class fit than ``min_images`` (and ``instance_channels`` is not set), the
   channels of the instance memories are reduced, down to one.
6. The number of images is the largest that fits. Weights, biases and the scale and shift of the
   decoder's normalisation are counted: the paper's accounting, which reproduces its numbers. The
   file has no scale and shift, since they are folded into the weights.

For the columns of Table 7 this reproduces Table 7, except for ImageNet-10, where 126 images fit and
the paper uses 125.

Over-budget condensation (paper section 3.2) starts with more images, which are pruned back to that
number: the paper's over-budget counts for the containers of Table 7, a tenth more for all others.
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any, TypeVar

from pydantic import ValidationError

from hmnpack.container.sizes import MAX_GRID, Sizes, candidates
from hmnpack.errors import BadSettings, BudgetTooSmall
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.container import MAX_ENLARGEMENT, ContainerSpec, HmnSpec, ImageShape
from hmnpack.schema.ledger import BYTES_PER_FLOAT
from hmnpack.schema.manifest import MAX_IPC, Budget
from hmnpack.schema.presets import DECODER_CHANNELS, PRESETS
from hmnpack.schema.stored import Stored

Spec = TypeVar("Spec", bound=Stored)

IMAGES_PER_IPC = 2
"""Minimum number of decoded images per image of the budget, for a decoder to pay off."""

DECODER_PART = 10
"""A widened decoder takes at most 1 / DECODER_PART of the budget."""


def budget_of(ipc: int, classes: int, image: ImageShape) -> Budget:
    """Return the budget of ``ipc`` images per class, in floats and bytes (paper section 4).

    Example:
        >>> budget_of(1, 10, ImageShape(channels=3, height=32, width=32)).floats
        30720

    Raises:
        BadSettings: if ``ipc`` is not an integer from 1 to ``MAX_IPC``.
    """
    floats = floats_of(ipc, classes, image)
    return Budget(ipc=ipc, floats=floats, bytes=floats * BYTES_PER_FLOAT)


def floats_of(ipc: int, classes: int, image: ImageShape) -> int:
    """Return the floats that may be stored at ``ipc`` images per class.

    Raises:
        BadSettings: if ``ipc`` is not an integer from 1 to ``MAX_IPC``.
    """
    check_ipc(ipc)
    return ipc * classes * image.elements


def check_ipc(ipc: int) -> None:
    """Check a budget in images per class.

    Raises:
        BadSettings: if it is not an integer from 1 to ``MAX_IPC``.
    """
    if not isinstance(ipc, int) or not 1 <= ipc <= MAX_IPC:
        raise BadSettings(f"ipc must be an integer from 1 to {MAX_IPC:,}, got {ipc}")


def counted_floats(spec: ContainerSpec) -> int:
    """Return a container's floats; an HMN's include scale and shift of its norms, as in the paper.

    The norms exist during condensation only; in a file they are folded into the decoder.

    Args:
        spec: The container.
    """
    norms = 2 * sum(spec.decoder_channels) if isinstance(spec, HmnSpec) else 0
    return spec.ledger().floats + norms


def most_images(spec: ContainerSpec, floats: int) -> int:
    """Return the largest number of images that fits, fewer than a row per class if so."""
    row = spec.images_per_row
    one, two = (
        counted_floats(spec.model_copy(update={"instances": rows * row})) for rows in (1, 2)
    )
    each = (two - one) // spec.classes
    return max(0, (floats - one) // each + spec.classes) * row


def most_instances(spec: ContainerSpec, floats: int) -> int:
    """Return the largest number of images per class that fits; 0 if not even one row does."""
    row = spec.images_per_row
    return most_images(spec, floats) // row // spec.classes * row


def images_within(spec: ContainerSpec, ipc: int) -> int:
    """Return how many images of such a container fit a budget; 0 if not even one per class does.

    Args:
        spec: The container; its image counts are ignored.
        ipc: Budget, in images per class.
    """
    return most_images(spec, floats_of(ipc, spec.classes, spec.image))


def instances_within(spec: ContainerSpec, ipc: int) -> int:
    """Return how many images per class of such a container fit a budget; 0 if none does.

    Args:
        spec: The container; its image counts are ignored.
        ipc: Budget, in images per class.
    """
    return most_instances(spec, floats_of(ipc, spec.classes, spec.image))


def as_even_as(counts: Sequence[int], images: int) -> tuple[int, ...]:
    """Return how many images of each class to keep, with the classes as balanced as possible.

    Each class keeps the same number of images, or all if it has fewer. That number is the largest
    for which the total is at most ``images``. A remainder too small for one more image of every
    larger class is left unused.

    Args:
        counts: Images of each class.
        images: Maximum total number of images to keep.

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
    """Return the smallest budget, in images per class, that fits a container's stored floats."""
    return -(-spec.ledger().floats // (spec.classes * spec.image.elements))


def over_budget_instances(ipc: int, spec: ContainerSpec) -> int:
    """Return the images per class to condense before they are pruned to those of a plan.

    Args:
        ipc: Budget, in images per class.
        spec: The container that fits the budget.

    Example:
        >>> over_budget_instances(1, plan(1, 10, ImageShape(channels=3, height=32, width=32)))
        93
    """
    if isinstance(spec, HmnSpec):
        sizes = (spec.image, spec.instance_channels, spec.decoder_channels)
        for column in PRESETS:
            own = (column.image, column.instance_channels, DECODER_CHANNELS)
            if (column.ipc, column.classes) == (ipc, spec.classes) and own == sizes:
                return column.over_budget
    return over_budget_rows(spec.each // spec.images_per_row) * spec.images_per_row


def over_budget_rows(rows: int) -> int:
    """Return how many stored rows of a class to condense before they are pruned to ``rows``."""
    return max(rows * 11 // 10, rows + 1)


def plan(
    ipc: int,
    classes: int,
    image: ImageShape,
    config: ContainerConfig | None = None,
    *,
    over_budget: bool = False,
) -> HmnSpec:
    """Return the container for a budget, by the planner's rule in the module docstring.

    Args:
        ipc: Budget, in images per class.
        classes: Number of classes K.
        image: Shape of the images.
        config: Activation; optional channels of the instance memories and the decoder; decoder
            width and images per class to aim for.
        over_budget: Use the number of images of over-budget condensation.

    Raises:
        BudgetTooSmall: if no container fits; the message names the smallest ipc that works.
        BadSettings: if the images are larger than a decoder supports, if there are more than a
            bundle supports, or if the number of decoder channels does not match its layers.
    """
    largest = MAX_GRID * 8 * MAX_ENLARGEMENT
    if image.side > largest:
        raise BadSettings(
            f"images of {image.height}x{image.width} are larger than the {largest} pixels that a "
            "container supports; pass a smaller --size"
        )
    spec = _fitting(ipc, classes, image, config or ContainerConfig())
    if spec is not None:
        more = over_budget_instances(ipc, spec) if over_budget else spec.each
        return checked(HmnSpec, spec.model_dump() | {"instances": more})
    given = config or ContainerConfig()
    enough = smallest_ipc(ipc, lambda more: _fitting(more, classes, image, given))
    raise BudgetTooSmall(
        f"ipc {ipc} is a budget of {floats_of(ipc, classes, image)} floats, too few for a decoder "
        f"and {IMAGES_PER_IPC} decoded images per image of the budget; "
        + (
            f"the smallest ipc that works is {enough}"
            if enough is not None
            else "no ipc works with these channels; lower container.instance_channels"
        )
    )


def smallest_ipc(above: int, fitting: Callable[[int], object]) -> int | None:
    """Return the smallest ipc above ``above``, which does not fit, that does; None if none does.

    Args:
        above: An ipc that does not fit.
        fitting: Returns something true for every ipc that fits, and for none that does not.
    """
    enough = above + 1
    while not fitting(enough):
        if enough == MAX_IPC:
            return None
        enough = min(2 * enough, MAX_IPC)
    low = max(above, enough // 2)
    while low + 1 < enough:
        middle = (low + enough) // 2
        low, enough = (low, middle) if fitting(middle) else (middle, enough)
    return enough


def checked(
    kind: type[Spec], sizes: Mapping[str, Any], advice: str = "lower the ipc or the --size"
) -> Spec:
    """Return the container of a plan, checked against the limits of the format.

    Args:
        kind: Kind of specification.
        sizes: Its fields.
        advice: What to do if a limit is exceeded.

    Raises:
        BadSettings: if a limit is exceeded.
    """
    try:
        return kind.model_validate(sizes)
    except ValidationError as error:
        first = error.errors()[0]
        reason, where = first["msg"].removeprefix("Value error, "), ".".join(map(str, first["loc"]))
        what = f"{where} = {first['input']}: " if where else ""
        raise BadSettings(
            f"the plan exceeds a limit of the format ({what}{reason}); {advice}"
        ) from error


def _fitting(ipc: int, classes: int, image: ImageShape, config: ContainerConfig) -> HmnSpec | None:
    floats = floats_of(ipc, classes, image)
    for sizes in candidates(ipc, classes, image):
        spec = _spec(sizes, classes, image, config)
        if most_instances(spec, floats) >= IMAGES_PER_IPC * ipc:
            width = 0 if config.decoder_channels else config.decoder_width
            aim = 0 if config.instance_channels else config.min_images
            return _filled(_widened(spec, floats, width), floats, aim)
    return None


def _widened(spec: HmnSpec, floats: int, width: int) -> HmnSpec:
    """Return the spec with the widest decoder, up to ``width``, within its part of the budget.

    Decoders are never narrowed.
    """
    usual = spec.decoder_channels
    for first in range(width, usual[0], -1):
        channels = tuple(ceil(first * each / usual[0]) for each in usual)
        wide = spec.model_copy(update={"decoder_channels": channels})
        if DECODER_PART * wide.ledger().floats_by_role()["decoder"] <= floats:
            return wide
    return spec


def _filled(spec: HmnSpec, floats: int, aim: int) -> HmnSpec:
    """Return the spec with as many images as fit, with fewer instance channels to reach ``aim``."""
    while spec.instance_channels > 1 and most_instances(spec, floats) < aim:
        spec = spec.model_copy(update={"instance_channels": spec.instance_channels - 1})
    return spec.model_copy(update={"instances": most_instances(spec, floats)})


def _spec(sizes: Sizes, classes: int, image: ImageShape, config: ContainerConfig) -> HmnSpec:
    decoder = config.decoder_channels or sizes.decoder
    if len(decoder) != len(sizes.decoder):
        raise BadSettings(
            f"container.decoder_channels {list(decoder)} has {len(decoder)} entries; a decoder to "
            f"{image.height}x{image.width} pixels needs {len(sizes.decoder)}"
        )
    try:
        return HmnSpec(
            classes=classes,
            instances=1,
            image=image,
            grid=sizes.grid,
            dataset_channels=sizes.dataset,
            class_channels=sizes.klass,
            instance_channels=config.instance_channels or sizes.instance,
            extractor_channels=sizes.extractor,
            decoder_channels=decoder,
            activation=config.activation,
            dtype=config.dtype,
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise BadSettings(
            f"a decoder of {list(decoder)} channels exceeds a limit of the format for "
            f"{image.height}x{image.width} images ({reason}); lower container.decoder_channels"
        ) from error
