"""What a network must have to be matched through."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class FeatureNetwork(nn.Module, ABC):
    """A classifier that gives its blocks' outputs."""

    @abstractmethod
    def features(self, x: Tensor) -> list[Tensor]:
        """Return the output of every block, each [N, D, h, w], for normalised images [N, C, H, W].

        The last one is what the classifier sees.
        """

    @abstractmethod
    def classified(self, last: Tensor) -> Tensor:
        """Return the logits [N, K] for the last block's output [N, D, h, w]."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [N, K] of normalised images [N, C, H, W]."""
        return self.classified(self.features(x)[-1])
