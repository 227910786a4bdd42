"""A bundle as a `torch.utils.data.Dataset`, as tensors, or as batches on a device.

Shape legend: N images, C channels, H height, W width.
"""

import html
import math
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor
from torch.utils.data import Dataset

from hmnpack import augment as augmentation
from hmnpack.bundle import Bundle, read
from hmnpack.bundle.opened import AnyFile, name_of_file
from hmnpack.bundle.pictures import PNG_CHANNELS, pictures, png, positions
from hmnpack.container import class_of, container_of, decode, numbers_within_class
from hmnpack.errors import BadSettings
from hmnpack.runtime.devices import choose_device, usable_device
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.config import Augmentation
from hmnpack.schema.manifest import Manifest, Normalisation

THUMBNAILS = 50
"""Maximum number of images in a notebook's output."""

Transform = Callable[[Any], Any]


def load(
    path_or_bundle: AnyFile | Bundle,
    *,
    transform: Transform | None = None,
    target_transform: Transform | None = None,
    per_class: int | None = None,
    device: torch.device | str = "cpu",
) -> "CondensedDataset":
    """Load a bundle as a dataset of its decoded images.

    Args:
        path_or_bundle: A `.hmn` file, fully verified on reading: its path, its address on the
            Hugging Face Hub (``hf://owner/name/file.hmn``, or ``owner/name@revision``; extra
            ``hub``), a binary file object, or its content as bytes. Or a bundle.
        transform: Applied to each image on access.
        target_transform: Applied to each label on access.
        per_class: Use only the first `per_class` images of each class (all of a smaller class).
        device: Device on which images are decoded and stored.

    Example:
        >>> dataset = load("examples/bundles/digits.hmn")
        >>> image, label = dataset[0]
        >>> len(dataset), image.shape, dataset.classes[label]
        (100, torch.Size([1, 8, 8]), '0')

    Raises:
        BadBundle: if the file violates FORMAT.md, or cannot be read or fetched.
        BadSettings: if every class has fewer than ``per_class`` images.
    """
    root = "memory"
    if not isinstance(path_or_bundle, Bundle):
        root, path_or_bundle = name_of_file(path_or_bundle), read(path_or_bundle)
    return CondensedDataset(
        path_or_bundle,
        transform=transform,
        target_transform=target_transform,
        per_class=per_class,
        device=device,
        root=root,
    )


class CondensedDataset(Dataset[tuple[Any, Any]]):
    """Decoded images with the interface of torchvision's datasets.

    Item i is ``(image, label)``: float32 [C, H, W] in [0, 1], and an int. The first access decodes
    all images and caches them. Pickling saves the stored floats, not the images, so every worker
    of a data loader decodes for itself, and does so in each epoch unless
    ``persistent_workers=True``. Forked workers inherit the images if ``ds[0]`` was accessed before.

    Args:
        bundle: The bundle to decode.
        transform: Applied to each image on access.
        target_transform: Applied to each label on access.
        per_class: Use only the first `per_class` images of each class (all of a smaller class);
            None for all.
        device: Device on which images are decoded and stored.
        root: Origin of the bundle, for display.

    Attributes:
        classes: Class names; the index is the label.
        class_to_idx: Label of each class name.
        transform: As given.
        target_transform: As given.
    """

    @with_torch_defaults
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
        """Label of each image; use ``torch.utils.data.Subset`` to select some of the images."""
        return self._targets

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
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
        target = self.device if device is None else _place(device)
        container = container_of(self.manifest.container, self.bundle.tensors).to(target)
        images = decode(container, self._positions.to(target)).to(dtype)
        return images, torch.tensor(self.targets, device=target)

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
    ) -> "DeviceLoader":
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

    @with_torch_defaults
    def _repr_html_(self) -> str:
        """Return the text and some images as HTML for a notebook; names are escaped."""
        figures = ""
        if self.manifest.container.image.channels in PNG_CHANNELS:
            figures = "".join(self._figures())
        return f"<pre>{html.escape(repr(self))}</pre><div>{figures}</div>"

    def _figures(self) -> Iterator[str]:
        """Yield the first images of each class as HTML, at most :data:`THUMBNAILS`."""
        shown = max(1, THUMBNAILS // len(self.classes))
        index_in_class = numbers_within_class(self.manifest.container, self._positions)
        chosen = (index_in_class < shown).nonzero().flatten()[:THUMBNAILS]
        images = pictures(self.bundle, self._positions[chosen])
        for index, image in zip(chosen.tolist(), images, strict=True):
            yield _figure(png(image), self.classes[self.targets[index]])


@dataclass(frozen=True)
class Batches:
    """Settings of a loader's batches; see :meth:`CondensedDataset.loader`.

    Attributes:
        size: Images per batch.
        augment: Augmentations, drawn per image.
        shuffle: Reshuffle the images in every epoch.
        normalise: Return normalised images rather than images around [0, 1].
    """

    size: int
    augment: tuple[Augmentation, ...]
    shuffle: bool
    normalise: bool


class DeviceLoader:
    """An iterable of batches ``(images, labels)`` on the images' device.

    Args:
        images: float32 [N, C, H, W] in [0, 1].
        labels: int64 [N], on the same device.
        normalisation: Applied before the augmentations.
        batches: Settings of the batches.
        generator: CPU generator for order and augmentations; None for torch's default.
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
            yield self._batch(part)

    @with_torch_defaults
    def _order(self) -> Tensor:
        """Return the image indices in the order of this epoch, on the images' device."""
        order = torch.arange(len(self._labels))
        if self._batches.shuffle:
            order = torch.randperm(len(self._labels), generator=self._generator)
        return order.to(self._labels.device)

    @with_torch_defaults
    def _batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self._augmented(self._images[rows]), self._labels[rows]

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
    """Return an available device; a process of a distributed program may name any."""
    return choose_device() if device == "auto" else usable_device(device)


def _figure(image: bytes, name: str) -> str:
    label = html.escape(name, quote=True)
    style = "min-width:48px;image-rendering:pixelated"
    source = f"data:image/png;base64,{b64encode(image).decode()}"
    return f'<img src="{source}" alt="{label}" title="{label}" style="{style}">'
