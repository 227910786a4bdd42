"""One bundle as a dataset of its decoded images.

Shape legend: N images, C channels, H height, W width.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from hmnpack.bundle import Bundle, read
from hmnpack.bundle.opened import AnyFile, name_of_file
from hmnpack.bundle.pictures import pixels, positions
from hmnpack.container import class_of, container_of, decode
from hmnpack.dataset.base import DecodedDataset, Transform
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Manifest, Normalisation


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


class CondensedDataset(DecodedDataset):
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
        super().__init__(bundle.manifest.classes, transform, target_transform, device)
        self.bundle = bundle
        self.root = root
        spec = bundle.manifest.container
        self._positions = positions(spec, per_class)
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
        return self.manifest.normalisation

    @property
    def image(self) -> ImageShape:
        """Shape of each image."""
        return self.manifest.container.image

    def decoded(self, device: torch.device) -> Tensor:
        """Return all images on a device: float32 [N, C, H, W] in [0, 1]."""
        container = container_of(self.manifest.container, self.bundle.tensors).to(device)
        return decode(container, self._positions.to(device))

    def pixels(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield some of the images in parts: uint8 [n, H, W, C] on the CPU, as `expand` writes."""
        return pixels(self.bundle, self._positions[rows])

    def facts(self) -> Iterator[str]:
        """Yield lines on where the images are from, for display."""
        yield f"Root location: {self.root}"
        yield f"Source: {ascii(self.manifest.source.name)[1:-1]}"
