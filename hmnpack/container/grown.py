"""New classes for the decoder of a finished Hierarchical Memory Network.

The dataset memory and the decoder stay as they are stored, to the bit, and so does every row of an
earlier class. Only class memories, instance memories and extractors of the new classes are learned.

Stored memories have scales of their own: those of 8-bit integers, which are folded into the
decoder's first layer, are shared by all classes. New memories therefore cannot choose theirs. They
are learned in units in which the old ones have the standard deviation of a new container, whatever
the file's scales, and clamped to the range that the stored type has in these units.

Shapes: K new classes, N new images, M grid side, Cc / Ci channels of class and instance memories.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from hmnpack.container.clamp import clamp
from hmnpack.container.hmn import HMN, MEMORY_STD
from hmnpack.container.stored import ONE, as_stored, values_of
from hmnpack.schema.container import HmnSpec
from hmnpack.schema.ledger import OF_A_CLASS, OF_AN_IMAGE

_OWN = OF_A_CLASS | OF_AN_IMAGE
_SCALED = ("memory.class", "memory.instance")


class GrownHMN(HMN):
    """The new classes of a file, which share its decoder.

    Args:
        spec: Sizes of the new classes alone; those that classes share are the file's.
        stored: The file's tensors, as stored, by ledger name.
        generator: CPU generator of the new memories.
    """

    _buffers_of: ClassVar[dict[str, str]] = {name: name.replace(".", "_") for name in _SCALED}

    def __init__(
        self, spec: HmnSpec, stored: Mapping[str, Tensor], generator: torch.Generator
    ) -> None:
        values = {name: values_of(tensor) for name, tensor in stored.items()}
        units = {name: _unit(values[name]) for name in _SCALED}
        super().__init__(spec, _started(spec, values, units, generator))
        self.shared: dict[str, Tensor] = {
            row.name: stored[row.name] for row in spec.ledger().rows if row.role not in _OWN
        }
        for name, unit in units.items():
            self.register_buffer(self._buffers_of[name], unit[:, None, None], persistent=False)
        for frozen in (self.dataset, *self.weights, *self.biases):
            frozen.requires_grad_(False)

    def stored_tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the new classes, and those that they share as the file has them."""
        own = {
            "memory.class": self._class_memory() * self._unit_of("memory.class"),
            "memory.instance": self._in_range("memory.instance", self.instance)
            * self._unit_of("memory.instance"),
        }
        if self.spec.extractor_channels is not None:
            own["extractor.weight"] = self.extractor_weight
            own["extractor.bias"] = self.extractor_bias
        return self.shared | as_stored(self.spec, own)

    def _class_memory(self) -> Tensor:
        return self._in_range("memory.class", self.classwise)

    def _instance_memory(self, indices: Tensor) -> Tensor:
        return self._in_range("memory.instance", super()._instance_memory(indices))

    def _in_range(self, name: str, memory: Tensor) -> Tensor:
        """Return memories clamped to what their stored type can hold, [n, channels, M, M]."""
        if self.spec.dtype != "I8":
            return memory
        unit = self._unit_of(name)
        return clamp(memory, -1 / unit, (ONE - 1) / ONE / unit)

    def _unit_of(self, name: str) -> Tensor:
        """Return the stored value that is 1 in this container, per channel: [channels, 1, 1]."""
        return self.get_buffer(self._buffers_of[name])


def _unit(memory: Tensor) -> Tensor:
    """Return the unit of each channel, [channels], in which stored memories have MEMORY_STD."""
    spread = memory.std((0, 2, 3), correction=0)
    return torch.where(spread > 0, spread / MEMORY_STD, 1)


def _started(
    spec: HmnSpec,
    values: Mapping[str, Tensor],
    units: Mapping[str, Tensor],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Return the tensors that the new classes start from, by ledger name.

    What a class has starts as the mean of the file's classes; instance memories are random, with
    the mean and the standard deviation of the file's.
    """
    started = {}
    for row in spec.ledger().rows:
        old = values[row.name]
        if row.name in _SCALED:
            old = old / units[row.name][:, None, None]
        if row.role in OF_AN_IMAGE:
            mean = old.mean((0, 2, 3))[:, None, None]
            started[row.name] = torch.randn(row.shape, generator=generator) * MEMORY_STD + mean
        elif row.role in OF_A_CLASS:
            started[row.name] = old.mean(0, keepdim=True).expand(row.shape).clone()
        else:
            started[row.name] = old
    first = torch.cat([old.new_ones(spec.shared_channels - spec.class_channels), *units.values()])
    started["decoder.0.weight"] = started["decoder.0.weight"] * first[:, None, None, None]
    return started
