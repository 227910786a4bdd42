"""Kernel ridge regression: how well the synthetic images alone would classify the real ones.

Shapes: N real images, M synthetic images, D features, K classes.
"""

import torch
from torch import Tensor

_SMALLEST = 1e-30


def krr_loss(
    real_features_ND: Tensor,
    real_targets_NK: Tensor,
    synthetic_features_MD: Tensor,
    synthetic_targets_MK: Tensor,
    ridge: float,
) -> Tensor:
    """Return the error on the real images of the regression fitted to the synthetic ones.

    With the linear kernel of the features, ``y(x) = k(x, S) (k(S, S) + p I)^-1 Y``, in closed form
    (FRePo); the penalty ``p`` is ``ridge`` times the mean of the kernel's diagonal, so that the
    features' scale does not matter. There is no constant term: targets should have mean 0.

    Everything is done in float64, which accelerators of some kinds do not have: the rounding of a
    kernel in float32 is far larger than a usual penalty. The cost is that of a product
    [M, D] [D, M] and of solving for M unknowns: nothing beside the networks up to some thousands.

    Args:
        real_features_ND: [N, D].
        real_targets_NK: [N, K].
        synthetic_features_MD: [M, D]; the error can be differentiated in them.
        synthetic_targets_MK: [M, K].
        ridge: Above 0.

    Returns:
        The squared error, summed over classes and averaged over the N images: a scalar of the
        synthetic features' dtype.
    """
    real, synthetic = real_features_ND.double(), synthetic_features_MD.double()
    kernel_MM = synthetic @ synthetic.T
    penalty = (ridge * kernel_MM.diagonal().mean()).clamp_min(_SMALLEST)
    identity_MM = torch.eye(len(synthetic), dtype=real.dtype, device=real.device)
    kernel_MM = kernel_MM + penalty * identity_MM
    weights_MK = torch.linalg.solve(kernel_MM, synthetic_targets_MK.double())
    predicted_NK = real @ (synthetic.T @ weights_MK)
    error: Tensor = (predicted_NK - real_targets_NK.double()).square().sum(1).mean()
    return error.to(synthetic_features_MD.dtype)


def class_targets(classes: int, each: int) -> Tensor:
    """Return what to regress on: 1 for the image's class, 0 for others, less their mean 1 / K.

    Args:
        classes: Number of classes K.
        each: Number of images of each; they go class by class.

    Returns:
        [K * each, K].
    """
    return (torch.eye(classes) - 1 / classes).repeat_interleave(each, 0)
