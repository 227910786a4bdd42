"""Kernel ridge regression as a term of a loss that is done some classes at a time.

The term needs the last features of all synthetic images at once. They are computed once without a
graph; the gradient of the error with respect to them is then sent back, class by class, through
the graphs of the chunks.

Shapes: K classes, n real and m synthetic images of each, D features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hmnpack.errors import BadSettings
from hmnpack.matching.chunks import with_gradient
from hmnpack.matching.krr import class_targets, krr_loss
from hmnpack.ranks import World
from hmnpack.schema.config import MatchConfig


@dataclass(frozen=True)
class Regression:
    """The weighted error of a step, by its gradient.

    Attributes:
        share: The error over the number of classes K: a scalar.
        gradient: Of the error with respect to all last features, [K, m, D].
    """

    share: Tensor
    gradient: Tensor

    def of(self, features: Tensor, classes: Tensor) -> Tensor:
        """Return some classes' share of the error, as a function of their features.

        Args:
            features: Last features of k classes, [k * m, ...].
            classes: The numbers of these classes, int64 [k].
        """
        gradient = self.gradient[classes].flatten(0, 1)
        return with_gradient(features.flatten(1).float(), self.share * len(classes), gradient)


def regression_of(real_KnD: Tensor, synthetic_KmD: Tensor, config: MatchConfig) -> Regression:
    """Return the weighted error of the regression on a step's synthetic images.

    Args:
        real_KnD: Last features of the real images of all classes.
        synthetic_KmD: The same of the synthetic ones.
        config: Weight and penalty.
    """
    (classes, real), synthetic = real_KnD.shape[:2], synthetic_KmD.shape[1]
    features_MD = synthetic_KmD.float().flatten(0, 1).detach().requires_grad_()
    error = config.krr * krr_loss(
        real_KnD.float().flatten(0, 1),
        class_targets(classes, real).to(features_MD),
        features_MD,
        class_targets(classes, synthetic).to(features_MD),
        config.ridge,
    )
    (gradient,) = torch.autograd.grad(error, features_MD)
    return Regression(error.detach() / classes, gradient.unflatten(0, (classes, synthetic)))


def refuse_regression(config: MatchConfig, device: torch.device, world: World) -> None:
    """Check that the device and the number of ranks allow for the term, if it is asked for.

    Raises:
        BadSettings: if they do not.
    """
    if config.krr and world.size > 1:
        raise BadSettings(
            f"match.krr needs all classes at once, and {world.size} ranks share them out; "
            "use one rank, or match.krr=0"
        )
    if config.krr and device.type == "mps":
        raise BadSettings("match.krr needs float64, which mps does not have; use --device cpu")
