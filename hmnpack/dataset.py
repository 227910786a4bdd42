"""A bundle as a `torch.utils.data.Dataset`, or as tensors and batches on a device.

Shape legend: N images, C channels, H height, W width.
"""

import html
import math
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, get_args

import torch
from torch import Tensor
from torch.utils.data import Dataset

from hmnpack import augment as augmentation
from hmnpack.bundle import Bundle, read
from hmnpack.bundle.pictures import PNG_CHANNELS, pictures, png, positions
from hmnpack.container import class_of, container_of, decode, numbers_within_class
from hmnpack.errors import BadSettings
from hmnpack.runtime.devices import choose_device, default_on_cpu, usable_device
from hmnpack.schema.config import Augmentation
from hmnpack.schema.manifest import Manifest, Normalisation

THUMBNAILS = 50
"""Most pictures that a notebook is shown."""

Transform = Callable[[Any], Any]


def load(
    path_or_bundle: str | PathLike[str] | Bundle,
    *,
    transform: Transform | None = None,
    target_transform: Transform | None = None,
    per_class: int | None = None,
    device: torch.device | str = "cpu",
) -> "CondensedDataset":
    """Return the data set that a bundle decodes to.

    Args:
        path_or_bundle: A `.hmn` file, fully verified on reading, or a bundle.
        transform: Applied to each image as it is taken.
        target_transform: Applied to each label as it is taken.
        per_class: Take the first so many images of each class only, or all of a class that has
            fewer.
        device: Where images are decoded and kept.

    Example:
        >>> dataset = load("examples/bundles/digits.hmn")
        >>> image, label = dataset[0]
        >>> len(dataset), image.shape, dataset.classes[label]
        (100, torch.Size([1, 8, 8]), '0')

    Raises:
        BadBundle: if the file breaks a rule of FORMAT.md.
        BadSettings: if no class has as many images as ``per_class``.
    """
    root = "memory"
    if not isinstance(path_or_bundle, Bundle):
        root, path_or_bundle = fspath(path_or_bundle), read(path_or_bundle)
    return CondensedDataset(
        path_or_bundle,
        transform=transform,
        target_transform=target_transform,
        per_class=per_class,
        device=device,
        root=root,
    )


class CondensedDataset(Dataset[tuple[Any, Any]]):
    """Decoded images, as torchvision's data sets give real ones.

    Item i is ``(image, label)``: float32 [C, H, W] in [0, 1], and an int. All images are decoded at
    the first item and kept. A pickle holds the stored numbers, not the images, so that workers of a
    loader decode for themselves, and again in each epoch if they are started anew
    (``persistent_workers=True`` keeps them; after a first ``ds[0]``, workers that are forked have
    the images already).

    Args:
        bundle: What to decode.
        transform: Applied to each image as it is taken.
        target_transform: Applied to each label as it is taken.
        per_class: Take the first so many images of each class only, or all of a class that has
            fewer; None for all.
        device: Where images are decoded and kept.
        root: Where the bundle came from, to be shown.

    Attributes:
        classes: Class names; the index is the label.
        class_to_idx: Label of each class name.
        transform: As given.
        target_transform: As given.
    """

    @default_on_cpu
    def __init__(
        self,
        bundle: Bundle,
        *,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        per_class: int | None = None,
        device: torch.device | str = "cpu",
        root: str = "memory",
    ) -> None:
        self.bundle = bundle
        self.transform = transform
        self.target_transform = target_transform
        self.device: torch.device = _place(device)
        self.root = root
        spec = bundle.manifest.container
        self._positions = positions(spec, per_class)
        self._images: Tensor | None = None
        self.classes: list[str] = list(bundle.manifest.classes)
        labels = {name: label for label, name in enumerate(self.classes)}
        self.class_to_idx: dict[str, int] = labels
        self._targets = tuple(class_of(spec, self._positions).tolist())

    @property
    def targets(self) -> tuple[int, ...]:
        """Label of each image; for some of the images there is ``torch.utils.data.Subset``."""
        return self._targets

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self.bundle.manifest

    @property
    def normalisation(self) -> Normalisation:
        """Mean and standard deviation of the real training images, per channel."""
        return self.bundle.manifest.normalisation

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if self._images is None:
            self._images, _ = self.tensors()
        image: Any = self._images[index].clone()  # what is done to an item is not done to the set
        label: Any = self.targets[index]
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label

    @default_on_cpu
    def tensors(
        self, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """Decode every image on a device; ``transform`` is not applied.

        Args:
            device: Where; None for the data set's own.
            dtype: Of the images, a floating type.

        Returns:
            Images [N, C, H, W], and labels, int64 [N].

        Raises:
            BadSettings: if the type is not a floating one.
        """
        if not dtype.is_floating_point:
            raise BadSettings(f"images cannot be {dtype}; ask for a floating type")
        target = self.device if device is None else _place(device)
        container = container_of(self.manifest.container, self.bundle.tensors).to(target)
        images = decode(container, self._positions.to(target)).to(dtype)
        return images, torch.tensor(self.targets, device=target)

    def loader(
        self,
        batch_size: int,
        augment: Augmentation | Sequence[Augmentation] = (),
        *,
        generator: torch.Generator | None = None,
        shuffle: bool = True,
        normalise: bool = True,
        device: torch.device | str | None = None,
    ) -> "DeviceLoader":
        """Return batches that are made on the device, without workers or copies.

        ``transform`` and ``target_transform``, which are for single items, are not applied.

        Args:
            batch_size: Images per batch; the last may have fewer.
            augment: Augmentations, drawn anew for each image; of crop, scale, rotate and cutout
                one is taken for each batch.
            generator: CPU generator of the order and the augmentations; None for torch's own.
            shuffle: Take the images in a new order each time, or in their own.
            normalise: Give images centred by :attr:`normalisation`, as networks expect them (and
                as test images must then be: ``hmnpack.augment.normalise``), or around [0, 1].
            device: Where; None for the data set's own.

        Raises:
            BadSettings: if the batch size is no integer from 1, or there is no such augmentation.
        """
        known = get_args(Augmentation)
        augment = (augment,) if isinstance(augment, str) else tuple(augment)
        unknown = [name for name in augment if name not in known]
        if not isinstance(batch_size, int) or batch_size < 1:
            raise BadSettings(f"batch_size is {batch_size}; it must be an integer from 1")
        if unknown:
            raise BadSettings(f"unknown augmentation {unknown[0]!r}; there are {', '.join(known)}")
        images, labels = self.tensors(device)
        batches = Batches(batch_size, augment, shuffle, normalise)
        return DeviceLoader(images, labels, self.normalisation, batches, generator)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_images": None}

    def __repr__(self) -> str:
        spec = self.manifest.container
        lines = [
            f"Dataset {type(self).__name__}",
            f"    Number of datapoints: {len(self)}",
            f"    Root location: {self.root}",
            f"    Source: {ascii(self.manifest.source.name)[1:-1]}",
            f"    Classes: {len(self.classes)}",
            f"    Image: {spec.image.channels} x {spec.image.height} x {spec.image.width}",
        ]
        if self.transform is not None:
            lines.append(f"    Transform: {self.transform!r}")
        if self.target_transform is not None:
            lines.append(f"    Target transform: {self.target_transform!r}")
        return "\n".join(lines)

    @default_on_cpu
    def _repr_html_(self) -> str:
        """Return the text and some pictures, for a notebook; every name is escaped."""
        figures = ""
        if self.manifest.container.image.channels in PNG_CHANNELS:
            figures = "".join(self._figures())
        return f"<pre>{html.escape(repr(self))}</pre><div>{figures}</div>"

    def _figures(self) -> Iterator[str]:
        """Give the first images of each class as HTML, :data:`THUMBNAILS` at most."""
        shown = max(1, THUMBNAILS // len(self.classes))
        numbers = numbers_within_class(self.manifest.container, self._positions)
        chosen = (numbers < shown).nonzero().flatten()[:THUMBNAILS]
        found = pictures(self.bundle, self._positions[chosen])
        for index, picture in zip(chosen.tolist(), found, strict=True):
            yield _figure(png(picture), self.classes[self.targets[index]])


@dataclass(frozen=True)
class Batches:
    """How a loader makes its batches; see :meth:`CondensedDataset.loader`.

    Attributes:
        size: Images per batch.
        augment: Augmentations, drawn anew for each image.
        shuffle: A new order each time, or the images' own.
        normalise: Centred images, or images around [0, 1].
    """

    size: int
    augment: tuple[Augmentation, ...]
    shuffle: bool
    normalise: bool


class DeviceLoader:
    """An iterable of batches ``(images, labels)``, made where the images are.

    Args:
        images: float32 [N, C, H, W] in [0, 1].
        labels: int64 [N], on the same device.
        normalisation: Applied before the augmentations.
        batches: How the batches are made.
        generator: CPU generator of the order and the augmentations; None for torch's own.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        normalisation: Normalisation,
        batches: Batches,
        generator: torch.Generator | None,
    ) -> None:
        self._images = augmentation.normalise(images, normalisation)
        self._labels = labels
        self._normalisation = normalisation
        self._batches = batches
        self._generator = torch.default_generator if generator is None else generator

    def __len__(self) -> int:
        return math.ceil(len(self._labels) / self._batches.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for part in torch.split(self._order(), self._batches.size):
            yield self._augmented(self._images[part]), self._labels[part]

    @default_on_cpu
    def _order(self) -> Tensor:
        """Return the order of all images, on their device."""
        order = torch.arange(len(self._labels))
        if self._batches.shuffle:
            order = torch.randperm(len(self._labels), generator=self._generator)
        return order.to(self._labels.device)

    @default_on_cpu
    def _augmented(self, images: Tensor) -> Tensor:
        if self._batches.augment:
            draws = augmentation.draw(
                self._batches.augment,
                len(images),
                self._generator,
                one_spatial=True,
                device=images.device,
            )
            images = augmentation.apply(images, draws)
        if self._batches.normalise:
            return images
        mean = images.new_tensor(self._normalisation.mean).view(1, -1, 1, 1)
        return images * images.new_tensor(self._normalisation.std).view(1, -1, 1, 1) + mean


def _place(device: torch.device | str) -> torch.device:
    """Return a device that is there: a process of several names its own as it likes."""
    return choose_device() if device == "auto" else usable_device(device)


def _figure(picture: bytes, name: str) -> str:
    label = html.escape(name, quote=True)
    style = "min-width:48px;image-rendering:pixelated"
    source = f"data:image/png;base64,{b64encode(picture).decode()}"
    return f'<img src="{source}" alt="{label}" title="{label}" style="{style}">'
