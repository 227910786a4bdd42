"""Cost of a network per image, counted during a forward pass on torch's device ``meta``.

Shape legend: K classes, C channels, H height, W width of an image; D h w of a block's output.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor

from hmnpack.networks.build import network_on_meta
from hmnpack.networks.features import FeatureNetwork
from hmnpack.networks.flops import FLOAT, Layer, Passes
from hmnpack.networks.meta import NORMS, ShapesOnly
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape

_aten = torch.ops.aten

_PRODUCTS = {_aten.mm: 0, _aten.bmm: 0, _aten.addmm: 1, _aten.baddbmm: 1}
"""Matrix products, and the position of the argument that is the first factor."""

_ALSO_SAVED = frozenset(
    {
        *(_aten.cat, _aten.gelu, _aten.silu, _aten.silu_, _aten.hardswish, _aten.hardswish_),
        *(_aten.mish, _aten.mish_, _aten.hardtanh, _aten.hardtanh_),
        *(_aten._softmax, _aten._safe_softmax),
    }
)
"""Operations, besides layers and normalisations, whose maps the backward pass needs. ReLU is not
one: its output replaces that of the layer before it."""


@dataclass(frozen=True)
class Block:
    """Size of a block's output for one image: channels D and pixels h * w."""

    channels: int
    pixels: int


@dataclass(frozen=True)
class NetworkProfile:
    """Layers, memory and weights of a network, for one image.

    Attributes:
        layers: Convolutions and matrix products, in the order of the forward pass.
        kept: Elements that a forward pass saves for the backward pass: outputs of layers (without
            the logits), normalisations, max pooling, concatenations and activations such as GELU.
        largest: Elements of the largest saved map.
        weights: Parameters of all filters and matrices, without biases and scales.
        blocks: Outputs of the blocks if features of the network can be matched, else empty.
    """

    layers: tuple[Layer, ...]
    kept: int
    largest: int
    weights: int
    blocks: tuple[Block, ...]

    def flops(self, passes: Passes) -> int:
        """Return the operations of a computation for one image."""
        return sum(getattr(passes, layer.kind) * layer.flops for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights."""
        return FLOAT * self.weights

    @property
    def training_bytes(self) -> int:
        """Bytes of activations per image in training."""
        return FLOAT * self.kept

    @property
    def testing_bytes(self) -> int:
        """Bytes of activations per image without a backward pass: twice the largest map."""
        return FLOAT * 2 * self.largest


@lru_cache(maxsize=64)
def profile_network(network: NetworkConfig, classes: int, image: ImageShape) -> NetworkProfile:
    """Count the layers, operations and maps of a network, for one image.

    The network is built and run on torch's device ``meta``, so no random numbers are drawn. Results
    are cached by arguments.

    Args:
        network: Any network that ``build_network`` supports.
        classes: Number of classes K.
        image: Shape of the images.

    Raises:
        BadSettings: if the name is unknown or the images are too small.
        MissingExtra: if the name needs a package that is not installed.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        made = network_on_meta(network, classes=classes, image=image).eval().requires_grad_()
        device = next(made.parameters()).device
        batch = torch.zeros(1, image.channels, image.height, image.width, device=device)
        counter, outputs = _Counter(), list[Tensor]()
        with counter:
            if isinstance(made, FeatureNetwork):
                outputs = made.features(batch)
                made.classified(outputs[-1])
            else:
                made(batch)
    if counter.layers[-1].kind == "linear":
        counter.saved.remove(counter.layers[-1].outputs)  # logits are saved by the loss
    return NetworkProfile(
        layers=tuple(counter.layers),
        kept=sum(counter.saved),
        largest=max(counter.saved),
        weights=sum(weight.numel() for weight in made.parameters() if weight.dim() > 1),
        blocks=tuple(Block(x.shape[1], prod(x.shape[2:])) for x in outputs),
    )


class _Counter(ShapesOnly):
    """Records the layers that run, and the sizes of the maps that the backward pass needs.

    Attributes:
        layers: Layers in the order of execution.
        saved: Elements of each saved map.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.saved: list[int] = []

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operator of torch
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Run and record an operation; return its output."""
        outputs = super().__torch_dispatch__(func, types, args, kwargs)
        operation = func.overloadpacket
        if operation is _aten.convolution:
            self._record("inner", args[0], _convolution_flops(args, outputs), outputs)
        elif operation in _PRODUCTS:
            factor = args[_PRODUCTS[operation]]
            self._record("linear", factor, 2 * outputs.numel() * factor.shape[-1], outputs)
        elif operation in NORMS:
            self.saved.append(outputs[0].numel())
        elif operation is _aten.max_pool2d_with_indices:
            self.saved += [outputs[0].numel()] * 3  # an int64 index is as large as two floats
        elif operation in _ALSO_SAVED:
            self.saved.append(outputs.numel())
        return outputs

    def _record(
        self, kind: Literal["inner", "linear"], source: Tensor, flops: int, output: Tensor
    ) -> None:
        # An input that needs no gradient depends on no weight: it is the images.
        actual = kind if source.requires_grad else "first"
        self.layers.append(Layer(actual, flops, output.numel()))
        self.saved.append(output.numel())


def _convolution_flops(args: tuple[Any, ...], output: Tensor) -> int:
    """Return the operations of ``aten.convolution``, for any groups and strides.

    Each weight is used once per output pixel; in a transposed convolution, once per input pixel.
    """
    source, weight, transposed = args[0], args[1], args[6]
    used = source if transposed else output
    return int(2 * weight.numel() * len(output) * prod(used.shape[2:]))
