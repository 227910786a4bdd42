"""Peak memory of a gradient-matching step, CIFAR-10 presets, beside the paper's Table 5.

Each preset runs in a process of its own: what a step adds at its peak to what was there before it
(data of 5,000 random images, container, network), in MB of 10^6 bytes.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path

import torch
from harness import arguments, report

from hmnpack.adam import ContainerAdam
from hmnpack.budget import plan
from hmnpack.container import HMN, new_container
from hmnpack.matching import GradientMatching, Match, RealData
from hmnpack.ranks import ALONE
from hmnpack.runtime import choose_device, stream
from hmnpack.schema.config import ContainerConfig, GradientConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation

IMAGE = ImageShape(channels=3, height=32, width=32)
PAPER = {1: 2680, 10: 4540, 50: 10426}
"""Table 5: MB on a GPU, HMN with gradient matching."""


def measure(ipc: int, device: torch.device) -> dict[str, float]:
    """Return the peak of two steps, and what was held before, in MB."""
    generator = stream(0, "memory")
    images = torch.randint(0, 256, (5000, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.arange(10).repeat(500)
    normalisation = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    data = RealData(images.to(device), labels.to(device), 10, normalisation, "random")
    config = GradientConfig(networks=1, inner_steps=2, train_images=256)
    container = new_container(plan(ipc, 10, IMAGE), ContainerConfig(), stream(0, "container"))
    assert isinstance(container, HMN)
    container.to(device).freeze()
    objective = GradientMatching(Match(data, None, config, 0))
    adam = ContainerAdam(container, (0.9, 0.99), objective.blocks, ALONE)
    objective.learner.begin(0)
    before = _held(device)
    for step in range(2):
        for block, loss in enumerate(objective.losses(container, step)):
            adam.step(loss, block)
    return {"peak": _peak(device) - before, "before": before}


def _held(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 1e6
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    """Measure each preset in a process of its own, and report."""
    typed = arguments()
    figures: dict[str, float] = {}
    for ipc, paper in PAPER.items():
        command = [sys.executable, __file__, "--device", typed.device, "--data", f"ipc:{ipc}"]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(answer)
        figures[f"mb_ipc{ipc}"] = found["peak"]
        figures[f"mb_before_ipc{ipc}"] = found["before"]
        figures[f"mb_paper_ipc{ipc}"] = paper
        figures[f"part_of_paper_ipc{ipc}"] = found["peak"] / paper
    report(figures, device=typed.device, seed=0, save=typed.save)


if __name__ == "__main__":
    chosen = arguments()
    if (chosen.data or "").startswith("ipc:"):
        print(json.dumps(measure(int(chosen.data[4:]), choose_device(chosen.device))))
    else:
        main()
