"""What all datasets of decoded images offer: items, tensors, batches, arrays, a notebook view.

Shape legend: N images, C channels, H height, W width.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hmnpack.dataset.forms import hf_dataset, notebook_view
from hmnpack.dataset.loader import Batches, DeviceLoader
from hmnpack.errors import BadSettings
from hmnpack.runtime.devices import choose_device, usable_device
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.config import Augmentation
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation

if TYPE_CHECKING:
    import datasets

Transform = Callable[[Any], Any]


class DecodedDataset(Dataset[tuple[Any, Any]]):
    """Decoded images with the interface of torchvision's datasets.

    Args:
        classes: Class names; the index is the label.
        transform: Applied to each image on access.
        target_transform: Applied to each label on access.
        device: Device on which images are decoded and stored.
    """

    def __init__(
        self,
        classes: Sequence[str],
        transform: Transform | None,
        target_transform: Transform | None,
        device: torch.device | str,
    ) -> None:
        self.classes: list[str] = list(classes)
        self.class_to_idx: dict[str, int] = {name: i for i, name in enumerate(self.classes)}
        self.transform = transform
        self.target_transform = target_transform
        self.device: torch.device = place(device)
        self._images: Tensor | None = None

    @property
    @abstractmethod
    def targets(self) -> tuple[int, ...]:
        """Label of each image; use ``torch.utils.data.Subset`` to select some of the images."""

    @property
    @abstractmethod
    def normalisation(self) -> Normalisation:
        """Mean and standard deviation of the real training images, per channel."""

    @property
    @abstractmethod
    def image(self) -> ImageShape:
        """Shape of each image."""

    @abstractmethod
    def decoded(self, device: torch.device) -> Tensor:
        """Return all images on a device: float32 [N, C, H, W] in [0, 1]."""

    @abstractmethod
    def pixels(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield some of the images in parts: uint8 [n, H, W, C] on the CPU, as `expand` writes."""

    @abstractmethod
    def facts(self) -> Iterator[str]:
        """Yield lines on where the images are from, for display."""

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if self._images is None:
            self._images, _ = self.tensors()
        with torch.inference_mode(mode=False):  # the image may be trained on later
            # Copied, because in-place changes must not reach the cache.
            image: Any = self._images[index].clone()
        label: Any = self.targets[index]
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    @with_torch_defaults
    def tensors(
        self, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """Decode all images on a device, without ``transform``.

        Args:
            device: Device of the result; None for the dataset's own.
            dtype: Floating-point dtype of the images.

        Returns:
            Images [N, C, H, W], and labels, int64 [N].

        Raises:
            BadSettings: if the dtype is not a floating-point type.
        """
        if not dtype.is_floating_point:
            raise BadSettings(f"images cannot be {dtype}; use a floating-point dtype")
        target = self.device if device is None else place(device)
        return self.decoded(target).to(dtype), torch.tensor(self.targets, device=target)

    @with_torch_defaults
    def arrays(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Decode all images as NumPy arrays, with the pixels that `expand` writes.

        Returns:
            Images, uint8 [N, H, W, C], and labels, int64 [N].
        """
        shape = self.image
        images = np.empty((len(self), shape.height, shape.width, shape.channels), np.uint8)
        start = 0
        for part in self.pixels(torch.arange(len(self))):
            images[start : start + len(part)] = part.numpy()
            start += len(part)
        return images, np.array(self.targets, np.int64)

    def to_hf(self) -> "datasets.Dataset":
        """Return a dataset of the Hugging Face library `datasets` (extra ``hub``).

        Returns:
            Columns ``image`` (an Image, with the pixels that `expand` writes) and ``label`` (a
            ClassLabel), without ``transform``.

        Raises:
            MissingExtra: if `datasets` is not installed.
            BadSettings: if PNG does not support the number of channels.
        """
        return hf_dataset(*self.arrays(), self.classes)

    @with_torch_defaults
    def loader(
        self,
        batch_size: int,
        augment: Augmentation | Sequence[Augmentation] = (),
        *,
        generator: torch.Generator | None = None,
        shuffle: bool = True,
        normalise: bool = True,
        device: torch.device | str | None = None,
    ) -> DeviceLoader:
        """Return an iterable of batches built on the device, without workers or copies.

        ``transform`` and ``target_transform`` apply to single items and are not used.

        Args:
            batch_size: Images per batch; the last batch may be smaller.
            augment: Augmentations, drawn per image; one of crop, scale, rotate and cutout is
                chosen per batch.
            generator: CPU generator for order and augmentations; None for torch's default.
            shuffle: Reshuffle the images in every epoch.
            normalise: Normalise images by :attr:`normalisation`; test images must then be
                normalised too (``hmnpack.augment.normalise``). False: images stay around [0, 1].
            device: Device of the batches; None for the dataset's own.

        Raises:
            BadSettings: if the batch size is not a positive integer, or an augmentation is unknown.
        """
        known = get_args(Augmentation)
        augment = (augment,) if isinstance(augment, str) else tuple(augment)
        unknown = [name for name in augment if name not in known]
        batch_size = as_integer(batch_size)
        if not isinstance(batch_size, int) or batch_size < 1:
            raise BadSettings(f"batch_size is {batch_size}; it must be a positive integer")
        if unknown:
            raise BadSettings(
                f"unknown augmentation {unknown[0]!r}; choose from {', '.join(known)}"
            )
        images, labels = self.tensors(device)
        batches = Batches(batch_size, augment, shuffle, normalise)
        return DeviceLoader(images, labels, self.normalisation, batches, generator)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_images": None}

    def __repr__(self) -> str:
        shape = self.image
        lines = [
            f"Dataset {type(self).__name__}",
            f"    Number of datapoints: {len(self)}",
            *(f"    {line}" for line in self.facts()),
            f"    Classes: {len(self.classes)}",
            f"    Image: {shape.channels} x {shape.height} x {shape.width}",
        ]
        if self.transform is not None:
            lines.append(f"    Transform: {self.transform!r}")
        if self.target_transform is not None:
            lines.append(f"    Target transform: {self.target_transform!r}")
        return "\n".join(lines)

    @with_torch_defaults
    def _repr_html_(self) -> str:
        """Return the text and some images as HTML for a notebook; names are escaped."""
        return notebook_view(self)


def place(device: torch.device | str) -> torch.device:
    """Return an available device; a process of a distributed program may name any."""
    return choose_device() if device == "auto" else usable_device(device)
