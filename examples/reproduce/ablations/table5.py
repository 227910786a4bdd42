"""Table 5: peak memory of condensing; appendix B: decoding time."""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from ablations.study import Ablation, Findings, Study
from hmnpack.container import container_of, new_container
from hmnpack.container.budget import plan
from hmnpack.runtime.devices import choose_device, wait_for
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.result import Figure

_MEMORY = Path(__file__).resolve().parents[3] / "tests" / "benchmarks" / "memory.py"

MEGABYTES, SECONDS = "mb", "decode_seconds"
_TIMES = 7


def measure(study: Study) -> Findings:
    """Return peak memory, decoding time and number of images for every budget."""
    found: dict[str, Figure] = {}
    for ipc in study.ipcs:
        classes, image = len(study.source.classes), study.source.image
        found[f"images_ipc{ipc}"] = plan(ipc, classes, image).images
        for name, value in ((MEGABYTES, _megabytes(study, ipc)), (SECONDS, _seconds(study, ipc))):
            found[f"{name}_ipc{ipc}"] = value
            found[f"{name}_paper_ipc{ipc}"] = study.paper_value(ABLATION.paper, name, ipc)
    return Findings(figures=found)


def _megabytes(study: Study, ipc: int) -> float:
    """Return the peak memory that a step adds, in 10^6 bytes, measured in a separate process."""
    image = study.source.image
    sizes = {
        "ipc": ipc,
        "classes": len(study.source.classes),
        "channels": image.channels,
        "height": image.height,
        "width": image.width,
        "network-width": study.config({}).gradient.network.width,
    }
    words = [str(word) for name, size in sizes.items() for word in (f"--{name}", size)]
    command = [sys.executable, str(_MEMORY), "--device", study.device, *words]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(json.loads(answer)["peak"])


def _seconds(study: Study, ipc: int) -> float:
    """Return the median time of decoding all images, after one warm-up pass, in seconds."""
    device = choose_device(study.device)
    spec = plan(ipc, len(study.source.classes), study.source.image)
    fresh = new_container(spec, ContainerConfig(norm="none"), stream(study.seed, "container"))
    container = container_of(spec, fresh.stored_tensors()).to(device)
    taken = []
    for _ in range(1 + _TIMES):
        begun = time.perf_counter()
        with torch.no_grad():
            container.expand()
        wait_for(device)
        taken.append(time.perf_counter() - begun)
    return median(taken[1:])


ABLATION = Ablation(
    title="Table 5 and appendix B: memory of condensing, seconds of decoding",
    varies="the budget",
    measures="the peak memory that a step of gradient matching adds, in MB (the paper: of a whole "
    "run, on a GPU), and the median time of decoding all images (the paper: on an RTX "
    "2080 Ti); nothing is condensed, so the network's width is the only relevant setting",
    paper={
        (MEGABYTES, 1): 2680,
        (MEGABYTES, 10): 4540,
        (MEGABYTES, 50): 10426,
        (SECONDS, 1): 0.036,
        (SECONDS, 10): 0.11,
        (SECONDS, 50): 0.52,
    },
    ipcs=(1, 10, 50),
    measure=measure,
    takes_bundles=False,
)
