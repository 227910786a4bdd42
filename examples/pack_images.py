"""Pack the images of another method into a .hmn file and print what it stores.

python examples/pack_images.py images.pt images.hmn 10     # 10 images per class

The input holds `images` [N, C, H, W], floats in [0, 1] or uint8, and `labels`, integers [N]. It is
a dictionary saved by `torch.save`, or an `.npz` archive. For another layout, change the two lines
of `read`.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hmnpack


def read(path: Path) -> tuple[Any, Any]:
    """Return the images and labels of a file."""
    saved = np.load(path) if path.suffix == ".npz" else torch.load(path, weights_only=True)
    return saved["images"], saved["labels"]


def main(images: str, output: str, ipc: str) -> None:
    """Pack a file of images within a budget of `ipc` images per class."""
    hmnpack.pack(*read(Path(images)), ipc=int(ipc), name=Path(images).name, output=output)
    manifest = hmnpack.inspect(output)
    stored, budget = manifest.ledger, manifest.budget
    print(f"{manifest.container.images} images of {len(manifest.classes)} classes")
    print(f"{stored.floats} of {budget.floats} floats, {stored.bytes} of {budget.bytes} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:4])
