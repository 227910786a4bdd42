"""The container of a budget, for every kind that ``compress`` makes (pure arithmetic).

`hmn` is planned in :mod:`hmnpack.container.budget`. The others, which are methods to compare with,
fill the same budget, in which every stored float counts:

- `multi-formation`: as many canvases per class as the budget has images. A canvas has 2 x 2 tiles,
  or 3 x 3 for images of 96 pixels or more (IDC: 2 for 28 and 32 pixels, 3 for ImageNet).
"""

from hmnpack.container.budget import checked, floats_of, over_budget_instances, plan
from hmnpack.schema.container import ContainerSpec, ImageShape, MultiFormationSpec
from hmnpack.schema.kinds import AnyContainerConfig, ContainerConfig
from hmnpack.schema.multi_formation import MultiFormationConfig

LARGE_SIDE = 96
"""Longer side, in pixels, from which a canvas has 3 x 3 tiles."""


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
    spec = _multi_formation(ipc, classes, image, config)
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
