"""Peak memory of a gradient-matching step, CIFAR-10 presets, against the paper's Table 5.

Measures the memory that a step adds at its peak to the data (5,000 random images), container and
network, in MB of 10^6 bytes. Each preset runs in a separate process. With ``--ipc`` this process
measures one budget, for images of any shape, and prints a line of JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from harness import parser, report

from hmnpack.condensing.adam import ContainerAdam
from hmnpack.container import HMN, new_container
from hmnpack.container.budget import plan
from hmnpack.matching import GradientMatching, Match, RealData
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.machine import peak_memory
from hmnpack.runtime.ranks import ALONE
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import ContainerConfig, GradientConfig, NetworkConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation

PAPER = {1: 2680, 10: 4540, 50: 10426}
"""Table 5: MB on a GPU, HMN with gradient matching."""

IMAGES = 5000


@dataclass(frozen=True)
class Sizes:
    """Budget in images per class, shape of the data, and network width (channels)."""

    ipc: int
    classes: int
    image: ImageShape
    width: int


def measure(sizes: Sizes, device: torch.device) -> dict[str, float]:
    """Return the peak that two steps add, and the memory allocated before, in MB."""
    classes, image = sizes.classes, sizes.image
    data = _random_data(classes, image, device)
    network = NetworkConfig(width=sizes.width)
    config = GradientConfig(networks=1, inner_steps=2, train_images=256, network=network)
    spec = plan(sizes.ipc, classes, image)
    container = new_container(spec, ContainerConfig(), stream(0, "container"))
    assert isinstance(container, HMN)
    container.to(device).freeze()
    objective = GradientMatching(Match(data, None, config, 0))
    adam = ContainerAdam(container, (0.9, 0.99), ALONE)
    objective.learner.begin(0)
    before = _allocated_mb(device)
    for step in range(2):
        adam.step(objective.loss(container, step))
    return {"peak": peak_memory(device) / 1e6 - before, "before": before}


def _random_data(classes: int, image: ImageShape, device: torch.device) -> RealData:
    labels = torch.arange(classes).repeat(max(64, IMAGES // classes))
    shape = (len(labels), image.channels, image.height, image.width)
    images = torch.randint(0, 256, shape, generator=stream(0, "memory"), dtype=torch.uint8)
    c = image.channels
    normalisation = Normalisation(mean=(0.5,) * c, std=(0.25,) * c)
    return RealData(images.to(device), labels.to(device), classes, normalisation, "random")


def _allocated_mb(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 1e6
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        return peak_memory(device) / 1e6
    pages = int(statm.read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Measure each preset in a separate process and report; with `--ipc`, one budget here."""
    args = _arguments()
    if args.ipc is not None:
        image = ImageShape(channels=args.channels, height=args.height, width=args.width)
        sizes = Sizes(args.ipc, args.classes, image, args.network_width)
        print(json.dumps(measure(sizes, choose_device(args.device))))
        return
    figures: dict[str, float] = {}
    for ipc, paper in PAPER.items():
        command = [sys.executable, __file__, "--device", args.device, "--ipc", str(ipc)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(answer)
        figures[f"mb_ipc{ipc}"] = found["peak"]
        figures[f"mb_before_ipc{ipc}"] = found["before"]
        figures[f"mb_paper_ipc{ipc}"] = paper
        figures[f"part_of_paper_ipc{ipc}"] = found["peak"] / paper
    report(figures, device=args.device, seed=0, save=args.save)


def _arguments() -> argparse.Namespace:
    options = parser()
    options.add_argument("--ipc", type=int, help="only measure this budget, and print JSON")
    options.add_argument("--classes", type=int, default=10, help="number of classes")
    options.add_argument("--channels", type=int, default=3, help="channels of an image")
    options.add_argument("--height", type=int, default=32, help="image height in pixels")
    options.add_argument("--width", type=int, default=32, help="image width in pixels")
    options.add_argument("--network-width", type=int, default=128, help="ConvNet width (channels)")
    return options.parse_args()


if __name__ == "__main__":
    main()
