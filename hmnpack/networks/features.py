"""The interface of networks whose features can be matched."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class FeatureNetwork(nn.Module, ABC):
    """A classifier that exposes the outputs of its blocks."""

    @abstractmethod
    def features(self, x: Tensor) -> list[Tensor]:
        """Return the output of every block, each [N, D, h, w], for normalised images [N, C, H, W].

        The last output is the input of the classifier.
        """

    @abstractmethod
    def classified(self, last: Tensor) -> Tensor:
        """Return the logits [N, K] for the last block's output [N, D, h, w]."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [N, K] of normalised images [N, C, H, W]."""
        return self.classified(self.features(x)[-1])
