"""The container of a budget, for every kind that ``compress`` makes (pure arithmetic).

`hmn` is planned in :mod:`hmnpack.container.budget`. The others, which are methods to compare with,
fill the same budget, in which every stored float counts:

- `images`: as many images per class as the ipc.
- `multi-formation`: as many canvases per class as the budget has images. A canvas has 2 x 2 tiles,
  or 3 x 3 for images of 96 pixels or more (IDC: 2 for 28 and 32 pixels, 3 for ImageNet).
- `linear-basis`: the number of bases is the largest power of two, up to 256, whose bases take at
  most two fifths of the budget and leave room for two images per class and ipc; then as many
  images as fit. For CIFAR-10 at 1 IPC that is LinBa's 16, and 115 images per class; LinBa states
  no other.
- `hallucinator`: HaBa's five hallucinators, which count in full, and as many bases per class as
  then fit. Bases have one channel where not even one per class fits otherwise; if that is not
  enough, there are fewer hallucinators. HaBa's own settings, five hallucinators beside `ipc` bases
  per class, exceed the budget: they are 1.91 IPC for CIFAR-10 at nominally 1.
"""

from hmnpack.container.budget import (
    IMAGES_PER_IPC,
    checked,
    floats_of,
    most_instances,
    over_budget_instances,
    plan,
    smallest_ipc,
)
from hmnpack.errors import BadSettings, BudgetTooSmall
from hmnpack.schema.container import (
    ContainerSpec,
    HallucinatorSpec,
    ImageShape,
    ImagesSpec,
    LinearBasisSpec,
    MultiFormationSpec,
)
from hmnpack.schema.hallucinator import SMALLEST_SIDE, HallucinatorConfig
from hmnpack.schema.images import ImagesConfig
from hmnpack.schema.kinds import AnyContainerConfig, ContainerConfig
from hmnpack.schema.linear_basis import LinearBasisConfig
from hmnpack.schema.multi_formation import MultiFormationConfig

LARGE_SIDE = 96
"""Longer side, in pixels, from which a canvas has 3 x 3 tiles."""

BASES = tuple(2**power for power in range(8, -1, -1))
"""Numbers of bases that are considered, in descending order."""

HALLUCINATORS = 5
"""HaBa's number of hallucinators."""


def planned(
    ipc: int,
    classes: int,
    image: ImageShape,
    config: AnyContainerConfig | None = None,
    *,
    over_budget: bool = False,
) -> ContainerSpec:
    """Return the container for a budget, by the rule of its kind.

    Args:
        ipc: Budget, in images per class.
        classes: Number of classes K.
        image: Shape of the images.
        config: Settings of the container; None: those of an HMN.
        over_budget: Use the number of images of over-budget condensation.

    Raises:
        BudgetTooSmall: if no container fits; the message names what does.
        BadSettings: if a setting does not suit the images, or a limit of the format is exceeded.
    """
    config = config or ContainerConfig()
    if isinstance(config, ContainerConfig):
        return plan(ipc, classes, image, config, over_budget=over_budget)
    floats_of(ipc, classes, image)  # checks the ipc
    spec: ContainerSpec
    if isinstance(config, ImagesConfig):
        sizes = {"classes": classes, "image": image, "dtype": config.dtype}
        spec = checked(ImagesSpec, sizes | {"instances": ipc}, "lower the ipc or the --size")
    elif isinstance(config, MultiFormationConfig):
        spec = _multi_formation(ipc, classes, image, config)
    elif isinstance(config, LinearBasisConfig):
        spec = _linear_basis(ipc, classes, image, config)
    else:
        spec = _hallucinator(ipc, classes, image, config)
    if not over_budget:
        return spec
    return checked(type(spec), spec.model_dump() | {"instances": over_budget_instances(ipc, spec)})


def _multi_formation(
    ipc: int, classes: int, image: ImageShape, config: MultiFormationConfig
) -> MultiFormationSpec:
    usual = 3 if image.side >= LARGE_SIDE else 2
    factor = config.factor or min(usual, image.height, image.width)
    sizes = {"classes": classes, "image": image, "dtype": config.dtype, "factor": factor}
    return checked(
        MultiFormationSpec,
        sizes | {"instances": ipc * factor**2},
        "lower the ipc, the --size or container.factor",
    )


def _linear_basis(
    ipc: int, classes: int, image: ImageShape, config: LinearBasisConfig
) -> LinearBasisSpec:
    def of(bases: int) -> LinearBasisSpec:
        sizes = {"classes": classes, "image": image, "dtype": config.dtype, "bases": bases}
        return LinearBasisSpec.model_validate(sizes | {"instances": 1})

    floats = floats_of(ipc, classes, image)
    spec = of(config.bases or next(bases for bases in BASES if _is_apt(of(bases), ipc)))
    most = most_instances(spec, floats)
    if most:
        return checked(LinearBasisSpec, spec.model_dump() | {"instances": most})
    enough = smallest_ipc(ipc, lambda more: most_instances(spec, floats_of(more, classes, image)))
    raise BudgetTooSmall(
        f"ipc {ipc} is a budget of {floats} floats, but {spec.bases} bases and the coefficients of "
        f"one image per class need {spec.ledger().floats}; lower container.bases; the smallest ipc "
        f"that works with this number is {enough}"
    )


def _is_apt(spec: LinearBasisSpec, ipc: int) -> bool:
    """Return whether the planner may choose this number of bases; it may always choose one."""
    floats = floats_of(ipc, spec.classes, spec.image)
    is_small = 5 * spec.bases * spec.half_elements <= 2 * floats
    has_images = most_instances(spec, floats) >= IMAGES_PER_IPC * ipc
    return spec.bases == 1 or (is_small and has_images)


def _hallucinator(
    ipc: int, classes: int, image: ImageShape, config: HallucinatorConfig
) -> HallucinatorSpec:
    if min(image.height, image.width) < SMALLEST_SIDE:
        raise BadSettings(
            f"images of {image.height}x{image.width} are smaller than a hallucinator's kernel of "
            "3x3; pass a larger --size"
        )

    def of(count: int, channels: int) -> HallucinatorSpec:
        return HallucinatorSpec(
            classes=classes,
            instances=count,
            image=image,
            dtype=config.dtype,
            hallucinators=count,
            basis_channels=channels,
        )

    floats, asked = floats_of(ipc, classes, image), config.hallucinators or HALLUCINATORS
    least = asked if config.hallucinators else 1
    fewer = [of(count, 1) for count in range(asked, least - 1, -1)]
    for spec in (of(asked, image.channels), *fewer):
        if most := most_instances(spec, floats):
            return checked(HallucinatorSpec, spec.model_dump() | {"instances": most})
    raise _too_many_hallucinators(of(asked, image.channels), of(1, 1), ipc)


def _too_many_hallucinators(
    wanted: HallucinatorSpec, least: HallucinatorSpec, ipc: int
) -> BudgetTooSmall:
    """Return the error for hallucinators that exceed the budget, which names what fits.

    Args:
        wanted: One basis per class and the hallucinators asked for.
        least: One basis of one channel per class and one hallucinator.
        ipc: Budget, in images per class.
    """
    floats, needed = floats_of(ipc, wanted.classes, wanted.image), wanted.ledger().floats
    one = least.ledger().floats_by_role()
    most = (floats - one["bases"]) // one["hallucinators"]
    if most > 0:
        fits = f"at most {most} fit, with bases of one channel"
    else:
        size = wanted.classes, wanted.image
        enough = smallest_ipc(ipc, lambda more: floats_of(more, *size) >= least.ledger().floats)
        fits = f"none fits; the smallest ipc that works is {enough}, with one hallucinator"
    return BudgetTooSmall(
        f"ipc {ipc} is a budget of {floats} floats, but one basis per class and "
        f"{wanted.hallucinators} hallucinators need {needed} ({needed / floats * ipc:.2f} ipc); "
        + fits
    )
