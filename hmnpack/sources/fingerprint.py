"""The identity of decoded images: equal fingerprints, equal tensors."""

import hashlib

from torch import Tensor

from hmnpack.sources.types import Split


def fingerprint_of(images: Tensor, labels: Tensor) -> str:
    """Return the sha256 over shapes, pixels and labels, in hexadecimal.

    The bytes hashed are the ASCII text `[N,C,H,W]`, the pixels in that order, and the labels as
    little-endian 64-bit integers.

    Args:
        images: uint8 [N, C, H, W].
        labels: int64 [N].
    """
    shape = ",".join(str(side) for side in images.shape)
    digest = hashlib.sha256(f"[{shape}]".encode())
    digest.update(images.contiguous().numpy().data)
    digest.update(labels.contiguous().numpy().astype("<i8", copy=False).data)
    return digest.hexdigest()


def split_of(images: Tensor, labels: Tensor) -> Split:
    """Return the split of these tensors, fingerprinted.

    Args:
        images: uint8 [N, C, H, W].
        labels: int64 [N].
    """
    images = images.contiguous()
    return Split(images=images, labels=labels, fingerprint=fingerprint_of(images, labels))
