"""Time to open a dataset: first time, from the cache, and the share of canonical ordering."""

import hashlib
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import torch
from harness import arguments, median_seconds, report

from hmnpack.runtime.seeds import stream
from hmnpack.schema.result import DataFacts
from hmnpack.sources import SourceOptions, open_source
from hmnpack.sources.types import split_of


def main() -> None:
    args = arguments()
    spec = args.data or "digits"
    with tempfile.TemporaryDirectory() as folder:
        options = SourceOptions(cache_dir=Path(folder))
        begun = time.perf_counter()
        source = open_source(spec, options)
        cold = time.perf_counter() - begun
        cached = median_seconds(lambda: open_source(spec, options), repeats=3, warm_up=0)
    count = len(source.train) + (len(source.test) if source.test else 0)
    report(
        {
            "images": count,
            "cold_seconds": cold,
            "cached_seconds": cached,
            "cold_images_per_second": count / cold,
            "ratio": cold / cached,
        }
        | order_figures(),
        data=DataFacts(name=source.name, fingerprint=source.train.fingerprint),
        save=args.save,
    )


def order_figures() -> dict[str, float]:
    """Compare canonical ordering and fingerprint of 50,000 images of 32 px with one hash of all.

    The two alternate, so that both see the same machine load.
    """
    generator = stream(0, "pixels")
    images = torch.randint(256, (50_000, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(10, (50_000,), generator=generator)
    ordered, hashed = [], []
    for _ in range(7):
        mixed = images.clone()  # images in canonical order would not be moved
        order = partial(split_of, mixed, labels, owned=True)
        ordered.append(median_seconds(order, repeats=1, warm_up=0))
        hashed.append(median_seconds(partial(hashlib.sha256, images.numpy().data), 1, 0))
    return {
        "order_seconds": median(ordered),
        "hash_seconds": median(hashed),
        "order_ratio": median(a / b for a, b in zip(ordered, hashed, strict=True)),
    }


if __name__ == "__main__":
    main()
