"""Peak memory of `compress` on 20,000 JPEG photos of 128 px with recipe `fast` and few steps.

Makes the photos in a temporary folder. One process opens them, which decodes them into the cache;
another compresses them. Reports the largest resident size of each in MB of 10^6 bytes, beside the
size of the decoded images. Sizes of networks and batches are the recipe's; one network is trained
for one epoch, and matching takes 8 steps.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import parser, report
from PIL import Image

from hmnpack.schema.result import DataFacts
from hmnpack.sources import SourceOptions, open_source

CLASSES = 10
SIDE = 128

COMPRESS = """
import sys
import torch
import hmnpack
from hmnpack.runtime.machine import peak_memory

settings = {"pool.size": 1, "pool.train.epochs": 1, "pool.min_steps": 0}
settings |= {"warmup.steps": 2, "match.steps": 8}
data, cache, device, what = sys.argv[1:]
if what == "open":
    source = hmnpack.open_source(data, hmnpack.SourceOptions(cache_dir=cache))
else:
    hmnpack.compress(
        data,
        1,
        recipe="fast",
        settings=settings,
        options=hmnpack.RunOptions(device=device),
        source_options=hmnpack.SourceOptions(cache_dir=cache),
    )
print(peak_memory(torch.device("cpu")))
"""


def main() -> None:
    """Make the photos, measure, and report."""
    args = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        data, cache = Path(folder, "photos"), Path(folder, "cache")
        make_photos(data, args.images)
        opening, opening_seconds = _peak(data, cache, args.device, "open")
        compressing, seconds = _peak(data, cache, args.device, "compress")
        source = open_source(str(data), SourceOptions(cache_dir=cache))
        facts = DataFacts(name=source.name, fingerprint=source.train.fingerprint)
    pixels = args.images * 3 * SIDE**2 / 1e6
    report(
        {
            "images": args.images,
            "mb_of_pixels": pixels,
            "mb_opening": opening,
            "mb_compressing": compressing,
            "seconds_opening": opening_seconds,
            "seconds_compressing": seconds,
            "ratio": max(opening, compressing) / pixels,
        },
        data=facts,
        device=args.device,
        seed=0,
        save=args.save,
    )


def make_photos(root: Path, images: int) -> None:
    """Write JPEG files of blurred noise, with a colour cast by class."""
    draw = np.random.default_rng(0)
    for number in range(images):
        label = number % CLASSES
        small = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        small[:, :, label % 3] //= 1 + label // 3
        folder = root / "train" / f"class {label}"
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        image.save(folder / f"{number}.jpg")


def _peak(data: Path, cache: Path, device: str, what: str) -> tuple[float, float]:
    """Return the peak memory of a process, in MB, and its time in seconds."""
    begun = time.perf_counter()
    words = [str(data), str(cache), device, what]
    command = [sys.executable, "-c", COMPRESS, *words]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(answer.splitlines()[-1]) / 1e6, time.perf_counter() - begun


def _arguments() -> argparse.Namespace:
    options = parser()
    options.add_argument("--images", type=int, default=20_000, help="number of photos")
    return options.parse_args()


if __name__ == "__main__":
    main()
