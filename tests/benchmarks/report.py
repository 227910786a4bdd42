"""Size of the report on the CIFAR-10 50-IPC preset (11,680 images), and how long it takes to open.

Container and margins are random, so the images do not compress. Opening lasts from the call until
everything is loaded, every image is decoded and a frame is drawn, in a new window each time. Needs
Chromium and `pip install -e '.[browser]'`.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from harness import arguments, median_seconds, report

import hmnpack
from hmnpack.bundle import data_sha256
from hmnpack.container.budget import budget_of, plan
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Manifest, Normalisation, Provenance, SourceFacts
from hmnpack.schema.pruning import Margins
from hmnpack.schema.score import Score

SEED = 0
ROUNDS = 7
SPREAD = 0.25
"""Standard deviation of the random tensors, for which the images are incompressible noise."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

DRAWN = """
async () => {
  await Promise.all([...document.images].map(image => image.decode()));
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  return document.images.length;
}
"""


def random_bundle() -> hmnpack.Bundle:
    """Return a 50-IPC container with random tensors, margins and a score."""
    image = ImageShape(channels=3, height=32, width=32)
    spec, generator = plan(50, 10, image), stream(SEED, "report")
    tensors = {
        row.name: SPREAD * torch.randn(row.shape, generator=generator) for row in spec.ledger().rows
    }
    margins = torch.randint(-10_000, 10_001, (spec.images,), generator=generator)
    score = Score(
        protocol="short",
        network="convnet",
        seed=0,
        held_out=False,
        data="cifar10",
        fingerprint="1" * 64,
        images=spec.images,
        accuracies=(76.0, 77.0, 76.5),
    )
    manifest = Manifest(
        source=SourceFacts(
            name="cifar10", fingerprint="0" * 64, train_images=50_000, held_out=0, skipped={}
        ),
        classes=tuple(f"class {index}" for index in range(10)),
        normalisation=Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3),
        container=spec,
        ledger=spec.ledger(),
        budget=budget_of(50, 10, image),
        recipe="paper",
        seed=SEED,
        holdout=0.1,
        scores=(score,),
        margins=Margins(epochs=200, seeds=3, values=tuple(margins.tolist())),
        provenance=Provenance(
            hmnpack="0", torch="0", device="cpu", real_images_used_to_start=False
        ),
        data_sha256=data_sha256(tensors),
    )
    return hmnpack.Bundle(manifest, tensors)


def open_page(browser: Any, address: str) -> tuple[float, int]:
    """Open the page in a new window; return the seconds taken and the number of images."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    begun = time.perf_counter()
    page.goto(address, wait_until="load")
    images = page.evaluate(DRAWN)
    taken = time.perf_counter() - begun
    context.close()
    return taken, images


def main() -> None:
    """Measure and report."""
    args = arguments()
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        sys.exit("needs Chromium and playwright: pip install -e '.[browser]'")
    bundle = random_bundle()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page = Path(folder, "report.html")
        write_seconds = median_seconds(lambda: hmnpack.report(bundle, page, force=True), 3)
        browser = driver.chromium.launch(executable_path=chromium)
        opened = [open_page(browser, page.as_uri()) for _ in range(ROUNDS + 1)]
        version = browser.version
        browser.close()
        size = page.stat().st_size
    seconds = sorted(taken for taken, _ in opened[1:])  # the first includes starting processes
    figures = {
        "page_megabytes": size / 1e6,
        "open_seconds": seconds[len(seconds) // 2],
        "open_seconds_worst": seconds[-1],
        "open_seconds_first": opened[0][0],
        "write_seconds": write_seconds,
        "images_shown": opened[0][1],
        "images": bundle.manifest.container.images,
        "chromium": version,
        "page_bar_megabytes": 3,
        "open_bar_seconds": 2,
    }
    report(figures, device=args.device, seed=SEED, save=args.save)


if __name__ == "__main__":
    main()
